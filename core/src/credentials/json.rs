//! Reading JSON that may hold secrets: errors say where and what kind of thing was found, and never
//! repeat a value, as serde's own would.

use serde_json::{Map, Value};

/// Why a JSON text is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON at all, or JSON with something after it.
    #[error("expected JSON, found a syntax error at line {line} column {column}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
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

pub(super) type Object = Map<String, Value>;

/// The object that `text` is.
pub(super) fn parse_object(text: &[u8]) -> Result<Object, JsonError> {
    let value = serde_json::from_slice(text)
        .map_err(|error| JsonError::Syntax { line: error.line(), column: error.column() })?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(JsonError::NotAnObject(kind(&other))),
    }
}

/// Takes `member` out of `object`, if `read` can make something of it.
pub(super) fn take<T>(
    object: &mut Object,
    member: &'static str,
    expected: &'static str,
    read: impl FnOnce(Value) -> Result<T, &'static str>,
) -> Result<T, JsonError> {
    match object.remove(member) {
        None => Err("nothing"),
        Some(value) => read(value),
    }
    .map_err(|found| JsonError::Member { member, expected, found })
}

/// A string, for [`take`].
pub(super) fn string(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(kind(&other)),
    }
}

/// A whole number that is not negative, for [`take`].
pub(super) fn number(value: Value) -> Result<u64, &'static str> {
    match value {
        Value::Number(number) => number.as_u64().ok_or("another number"),
        other => Err(kind(&other)),
    }
}

/// What kind of thing `value` is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
