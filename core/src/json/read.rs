//! Reading JSON by serde_json, borrowed from its text: what may be secret is not copied, and errors
//! name the type of what was found, never its value.

use super::JsonError;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The members of an object by name. Of members with the same name the last one counts, as for most
/// readers.
pub(crate) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Reads a JSON text.
    ///
    /// # Errors
    ///
    /// It is not JSON, or not an object.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        Self::of(parse(text)?)
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// It is not an object.
    pub(crate) fn of(value: &'a RawValue) -> Result<Self, JsonError> {
        match kind(value) {
            OBJECT => serde_json::from_str(value.get()).map(Self).map_err(syntax),
            other => Err(JsonError::NotAnObject(other)),
        }
    }

    /// The member of this name; `null` counts as missing.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != NULL)
    }

    /// Reads `member` with `read`, which says what was found if that is not what is expected.
    ///
    /// # Errors
    ///
    /// It is missing, or `read` fails.
    pub(crate) fn read<T>(
        &self,
        member: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, &'static str>,
    ) -> Result<T, JsonError> {
        let found = self.0.get(member).copied().ok_or("nothing").and_then(read);
        found.map_err(|found| JsonError::Member { member, expected, found })
    }
}

/// Any JSON text, without the white space around it.
pub(crate) fn parse(text: &[u8]) -> Result<&RawValue, JsonError> {
    serde_json::from_slice(text).map_err(syntax)
}

/// A string, for [`Members::read`].
pub(crate) fn string(value: &RawValue) -> Result<Zeroizing<String>, &'static str> {
    match serde_json::from_str(value.get()) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(_) if kind(value) == STRING => Err("a string that is not Unicode"),
        Err(_) => Err(kind(value)),
    }
}

/// A whole number that is not negative, for [`Members::read`].
pub(crate) fn number(value: &RawValue) -> Result<u64, &'static str> {
    match serde_json::from_str(value.get()) {
        Ok(number) => Ok(number),
        Err(_) if kind(value) == NUMBER => Err("another number"),
        Err(_) => Err(kind(value)),
    }
}

/// The items of an array, for [`Members::read`].
pub(crate) fn items(value: &RawValue) -> Result<Vec<&RawValue>, &'static str> {
    serde_json::from_str(value.get()).map_err(|_| kind(value))
}

/// The type of a value.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes() {
        [b'{', ..] => OBJECT,
        [b'[', ..] => "an array",
        [b'"', ..] => STRING,
        [b'n', ..] => NULL,
        [b't' | b'f', ..] => "a boolean",
        _ => NUMBER,
    }
}

const OBJECT: &str = "an object";
const STRING: &str = "a string";
const NUMBER: &str = "a number";
const NULL: &str = "null";

/// The position alone: serde_json's own text may quote what it found.
fn syntax(error: serde_json::Error) -> JsonError {
    JsonError::Syntax { line: error.line(), column: error.column().max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_names_counts_and_null_is_missing() {
        let members = Members::parse(br#" {"a": 1, "b": null, "a": [ "x" ], "c": "\n"} "#).unwrap();
        assert_eq!(members.get("a").map(RawValue::get), Some(r#"[ "x" ]"#));
        assert!(members.get("b").is_none() && members.get("d").is_none());
        assert_eq!(members.read("c", "a string", string).unwrap().as_str(), "\n");
        for (member, found) in [("a", "an array"), ("b", "null"), ("d", "nothing")] {
            let error = members.read(member, "a string", string).unwrap_err();
            assert_eq!(error, JsonError::Member { member, expected: "a string", found });
        }
    }

    #[test]
    fn errors_name_types_and_positions() {
        for (text, expected) in [
            ("", "found a syntax error at line 1 column 1"),
            ("{\n\"canary", "found a syntax error at line 2 column 7"),
            ("{}canary", "found a syntax error at line 1 column 3"),
            ("[]", "found an array"),
            ("-1", "found a number"),
            ("\"canary\"", "found a string"),
            (" null ", "found null"),
            ("true", "found a boolean"),
            ("{\"\\ud800\": 1}", "found a syntax error"),
        ] {
            let error = Members::parse(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains("canary"), "{text}: {error}");
        }
        let members = Members::parse(br#"{"a": "\ud800", "b": -1, "c": 1.5}"#).unwrap();
        let a = members.read("a", "a string", string).unwrap_err().to_string();
        assert_eq!(a, "`a`: expected a string, found a string that is not Unicode");
        for member in ["b", "c"] {
            let error = members.read(member, "a number", number).unwrap_err().to_string();
            assert!(error.ends_with("found another number"), "{error}");
        }
    }

    /// Deep nesting is skipped without recursion: an attack on the stack does not reach it.
    #[test]
    fn any_depth_is_read() {
        let text = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Members::parse(text.as_bytes()).unwrap().get("a").is_some());
    }
}
