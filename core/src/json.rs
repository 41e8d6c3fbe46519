//! JSON that may hold secrets: errors say where and what kind of thing was found, and never repeat a
//! value.
//!
//! Members stay texts (`RawValue`) until it is known what they have to be. No text of serde_json's
//! goes into an error, as it may quote what it found. The WebAssembly module has its JSON parsed by
//! JavaScript: serde_json would make it half as large again.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Why a JSON text is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Nothing but white space.
    #[error("expected JSON, found an empty text")]
    Empty,
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

/// Keeps the position alone.
impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        // serde_json says 0 for the end of an empty line.
        Self::Syntax { line: error.line(), column: error.column().max(1) }
    }
}

/// A JSON value that was parsed: by serde_json, or by the JavaScript that calls the WebAssembly module.
pub trait JsonValue: Sized {
    /// What kind of thing it is, such as `a string`; never its value.
    fn kind(&self) -> &'static str;
    /// The text of a string.
    fn string(&self) -> Option<Zeroizing<String>>;
    /// A whole number that is not negative.
    fn number(&self) -> Option<u64>;
    /// The items of an array.
    fn items(&self) -> Option<Vec<Self>>;
    /// A member of an object. Of members of the same name the last one counts, as for most readers.
    fn member(&self, name: &str) -> Option<Self>;
}

impl JsonValue for &RawValue {
    fn kind(&self) -> &'static str {
        // The first character tells.
        match self.get().as_bytes().first() {
            Some(b'n') => NULL,
            Some(b't' | b'f') => "a boolean",
            Some(b'"') => STRING,
            Some(b'[') => "an array",
            Some(b'{') => OBJECT,
            _ => NUMBER,
        }
    }

    fn string(&self) -> Option<Zeroizing<String>> {
        serde_json::from_str(self.get()).ok().map(Zeroizing::new)
    }

    fn number(&self) -> Option<u64> {
        self.get().parse().ok()
    }

    fn items(&self) -> Option<Vec<Self>> {
        serde_json::from_str(self.get()).ok()
    }

    fn member(&self, name: &str) -> Option<Self> {
        serde_json::from_str::<BTreeMap<Cow<'_, str>, Self>>(self.get()).ok()?.remove(name)
    }
}

/// Any JSON text.
pub(crate) fn parse(text: &[u8]) -> Result<&RawValue, JsonError> {
    if text.trim_ascii().is_empty() {
        return Err(JsonError::Empty);
    }
    Ok(serde_json::from_slice(text)?)
}

/// The object that `text` is.
pub(crate) fn parse_object(text: &[u8]) -> Result<&RawValue, JsonError> {
    let value = parse(text)?;
    expect_object(&value)?;
    Ok(value)
}

pub(crate) fn expect_object(value: &impl JsonValue) -> Result<(), JsonError> {
    match value.kind() {
        OBJECT => Ok(()),
        other => Err(JsonError::NotAnObject(other)),
    }
}

/// A member, where `null` counts as missing.
pub(crate) fn given<V: JsonValue>(object: &V, name: &str) -> Option<V> {
    object.member(name).filter(|value| value.kind() != NULL)
}

/// Reads `member` with `read`, which says what was found if that is not what is expected.
pub(crate) fn read<V: JsonValue, T>(
    object: &V,
    member: &'static str,
    expected: &'static str,
    read: impl FnOnce(V) -> Result<T, &'static str>,
) -> Result<T, JsonError> {
    let found = object.member(member).ok_or("nothing").and_then(read);
    found.map_err(|found| JsonError::Member { member, expected, found })
}

/// A string, for [`read`].
pub(crate) fn string(value: impl JsonValue) -> Result<Zeroizing<String>, &'static str> {
    value.string().ok_or_else(|| match value.kind() {
        STRING => "a string that is not Unicode text",
        other => other,
    })
}

/// A whole number that is not negative, for [`read`].
pub(crate) fn number(value: impl JsonValue) -> Result<u64, &'static str> {
    value.number().ok_or_else(|| match value.kind() {
        NUMBER => "another number",
        other => other,
    })
}

/// The items of an array, for [`read`].
pub(crate) fn items<V: JsonValue>(value: &V) -> Result<Vec<V>, &'static str> {
    value.items().ok_or_else(|| value.kind())
}

const NULL: &str = "null";
const NUMBER: &str = "a number";
const STRING: &str = "a string";
const OBJECT: &str = "an object";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_of_a_name_counts() {
        let object = parse_object(br#"{"a": 1, "b": null, "a": 3}"#).unwrap();
        assert_eq!(object.member("a").map(number), Some(Ok(3)));
        assert_eq!(object.member("b").map(|value| value.kind()), Some("null"));
        assert!(given(&object, "b").is_none() && object.member("c").is_none());
    }

    #[test]
    fn errors_say_where_and_what_kind_of_thing() {
        for (text, expected) in [
            (&b"{\"a\":\n  tru}"[..], "expected JSON, found a syntax error at line 2 column 6"),
            (b"{} x", "expected JSON, found a syntax error at line 1 column 4"),
            (b"\"\xff\"", "expected JSON, found a syntax error at line 1 column 2"),
            (b"[\"secret\"]", "expected a JSON object, found an array"),
            (b" null", "expected a JSON object, found null"),
            (b"", "expected JSON, found an empty text"),
            (b" \r\n\t", "expected JSON, found an empty text"),
        ] {
            assert_eq!(parse_object(text).err().unwrap().to_string(), expected, "{text:?}");
        }
        let read = |text| string(parse(text).unwrap()).err();
        assert_eq!(read(b"-1e9"), Some("a number"));
        assert_eq!(read(br#""\ud800""#), Some("a string that is not Unicode text"));
        let read = |text| number(parse(text).unwrap());
        assert_eq!(read(b"18446744073709551615"), Ok(u64::MAX));
        for text in [&b"-1"[..], b"1.5", b"1e3", b"18446744073709551616"] {
            assert_eq!(read(text), Err("another number"), "{text:?}");
        }
    }

    #[test]
    fn texts_of_any_depth_are_read() {
        let nested = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(parse(nested.as_bytes()).is_ok());
    }
}
