//! JSON that may hold secrets: errors say where and what kind of thing was found, and never repeat
//! a value.
//!
//! The same on every platform, and small: `serde_json` would make a WebAssembly module of this
//! crate more than twice as large.

mod read;
mod write;

pub(crate) use read::{parse, parse_object};
pub(crate) use write::{push_array, push_string};

use zeroize::Zeroize as _;

/// Why a JSON text is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON at all, or JSON with something after it.
    #[error("expected JSON, found a syntax error at line {line} column {column}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
    },
    /// JSON, but something else than an object.
    #[error("expected a JSON object, found {0}")]
    NotAnObject(&'static str),
    /// A member that is missing or has another type.
    #[error("`{member}`: expected {expected}, found {found}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What kind of thing it is; never its value.
        found: &'static str,
    },
    /// The same of the certificate within credentials.
    #[error("`certificate`: {0}")]
    Certificate(Box<JsonError>),
}

/// Any JSON value.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Value {
    Null,
    Bool,
    /// A whole number that is not negative and fits; `None`: another one.
    Number(Option<u64>),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

/// The members of an object, in the order of the text.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Object(Vec<(String, Value)>);

/// Nobody knows yet which of the members that are left was a secret.
impl Drop for Object {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.wipe());
    }
}

impl Value {
    fn wipe(&mut self) {
        match self {
            Self::String(text) => text.zeroize(),
            Self::Array(items) => items.iter_mut().for_each(Self::wipe),
            // An object does it when it is dropped.
            Self::Object(_) | Self::Null | Self::Bool | Self::Number(_) => {}
        }
    }
}

impl Object {
    /// Of members of the same name the last one counts, as for most readers.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The same, where `null` counts as missing.
    pub(crate) fn given(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| !matches!(value, Value::Null))
    }

    /// Reads `member` with `read`, which says what was found if that is not what is expected.
    pub(crate) fn read<'a, T>(
        &'a self,
        member: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, &'static str>,
    ) -> Result<T, JsonError> {
        let found = self.get(member).ok_or("nothing").and_then(read);
        found.map_err(|found| JsonError::Member { member, expected, found })
    }
}

/// A string, for [`Object::read`].
pub(crate) fn string(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(kind(other)),
    }
}

/// A whole number that is not negative, for [`Object::read`].
pub(crate) fn number(value: &Value) -> Result<u64, &'static str> {
    match value {
        Value::Number(number) => number.ok_or("another number"),
        other => Err(kind(other)),
    }
}

/// The items of an array, for [`Object::read`].
pub(crate) fn items(value: &Value) -> Result<&[Value], &'static str> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(kind(other)),
    }
}

/// What kind of thing `value` is.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
