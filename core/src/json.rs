//! Reads JSON that may contain secrets: errors give the position and the type of what was found, and
//! never repeat a value.
//!
//! Members stay unparsed (`RawValue`) until their expected type is known. Messages of serde_json are
//! not used in errors, because they may quote the input. In the WebAssembly module JavaScript parses
//! the JSON: serde_json would make the module half as large again.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Why a JSON text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is empty or white space.
    #[error("expected JSON, found an empty text")]
    Empty,
    /// The text is not JSON, or has something after the JSON value.
    #[error("expected JSON, found a syntax error at line {line} column {column}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The column in bytes, counted from 1.
        column: usize,
    },
    /// The text is JSON, but not an object.
    #[error("expected a JSON object, found {0}")]
    NotAnObject(&'static str),
    /// A member is missing or has another type.
    #[error("`{member}`: expected {expected}, found {found}")]
    Member {
        /// The name of the member.
        member: &'static str,
        /// The value that was expected.
        expected: &'static str,
        /// The type that was found; never the value.
        found: &'static str,
    },
    /// The certificate in credentials could not be read.
    #[error("`certificate`: {0}")]
    Certificate(Box<JsonError>),
}

/// Keeps only the position.
impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        // serde_json gives column 0 for the end of an empty line.
        Self::Syntax { line: error.line(), column: error.column().max(1) }
    }
}

/// A JSON value, parsed by serde_json or by the JavaScript that calls the WebAssembly module.
pub trait JsonValue: Sized {
    /// The type of the value, such as `a string`; never the value itself.
    fn kind(&self) -> &'static str;
    /// The value as a string, if it is one.
    fn string(&self) -> Option<Zeroizing<String>>;
    /// The value as a number, if it is a non-negative integer.
    fn number(&self) -> Option<u64>;
    /// The items of the value, if it is an array.
    fn items(&self) -> Option<Vec<Self>>;
    /// A member of the value, if it is an object. If the name is repeated, the last member counts, as
    /// in most JSON parsers.
    fn member(&self, name: &str) -> Option<Self>;
}

impl JsonValue for &RawValue {
    fn kind(&self) -> &'static str {
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

/// Parses any JSON text.
pub(crate) fn parse(text: &[u8]) -> Result<&RawValue, JsonError> {
    if text.trim_ascii().is_empty() {
        return Err(JsonError::Empty);
    }
    Ok(serde_json::from_slice(text)?)
}

/// Parses a JSON text that must be an object.
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

/// A member of an object; a member that is `null` counts as missing.
pub(crate) fn non_null_member<V: JsonValue>(object: &V, name: &str) -> Option<V> {
    object.member(name).filter(|value| value.kind() != NULL)
}

/// Reads `member` with `read`, which returns the type that was found if it is not `expected`.
pub(crate) fn read_member<V: JsonValue, T>(
    object: &V,
    member: &'static str,
    expected: &'static str,
    read: impl FnOnce(V) -> Result<T, &'static str>,
) -> Result<T, JsonError> {
    let found = object.member(member).ok_or("nothing").and_then(read);
    found.map_err(|found| JsonError::Member { member, expected, found })
}

/// Reads a string, for [`read_member`].
pub(crate) fn string(value: impl JsonValue) -> Result<Zeroizing<String>, &'static str> {
    value.string().ok_or_else(|| match value.kind() {
        STRING => "a string that is not Unicode text",
        other => other,
    })
}

/// Reads a non-negative integer, for [`read_member`].
pub(crate) fn number(value: impl JsonValue) -> Result<u64, &'static str> {
    value.number().ok_or_else(|| match value.kind() {
        NUMBER => "another number",
        other => other,
    })
}

/// Reads the items of an array, for [`read_member`].
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
    fn the_last_of_repeated_members_counts() {
        let object = parse_object(br#"{"a": 1, "b": null, "a": 3}"#).unwrap();
        assert_eq!(object.member("a").map(number), Some(Ok(3)));
        assert_eq!(object.member("b").map(|value| value.kind()), Some("null"));
        assert!(non_null_member(&object, "b").is_none() && object.member("c").is_none());
    }

    #[test]
    fn errors_give_the_position_and_the_type() {
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
