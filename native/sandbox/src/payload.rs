//! Reads the members of a JSON body. Errors give the type that was found, never the value, which may be a
//! secret.

use super::failure::Failure;
use serde_json::{Map, Value};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Scope;

pub(super) type Object = Map<String, Value>;

/// Parses a JSON object. An empty text counts as an empty object, as in the services.
pub(super) fn parse(text: &[u8]) -> Result<Object, Failure> {
    if text.is_empty() {
        return Ok(Object::new());
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => {
            Err(Failure::Payload(format!("expected a JSON object, found {}", kind(&other))))
        }
        Err(error) => Err(Failure::Payload(format!(
            "expected JSON, found a syntax error at line {} column {}",
            error.line(),
            error.column()
        ))),
    }
}

pub(super) fn string<'a>(payload: &'a Object, member: &str) -> Result<&'a str, Failure> {
    read(payload, member, "a string", Value::as_str)
}

pub(super) fn object<'a>(payload: &'a Object, member: &str) -> Result<&'a Object, Failure> {
    read(payload, member, "an object", Value::as_object)
}

pub(super) fn number<'a>(payload: &'a Object, member: &str) -> Result<&'a Value, Failure> {
    read(payload, member, "a number", |value| value.is_number().then_some(value))
}

/// Reads a non-negative integer in the range of `T`.
pub(super) fn integer<T: TryFrom<u64>>(payload: &Object, member: &str) -> Result<T, Failure> {
    read(payload, member, "a whole number in range", |value| T::try_from(value.as_u64()?).ok())
}

pub(super) fn datetime(payload: &Object, member: &str) -> Result<Timestamp, Failure> {
    read(payload, member, "a date and time such as 2030-01-31T12:00:00.000Z", |value| {
        parse_rfc3339(value.as_str()?)
    })
}

/// Parses a date and time in the format of RFC 3339; one before 1970 becomes the epoch.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(timestamp.as_millisecond().try_into().unwrap_or(0)))
}

pub(super) fn strings<'a>(payload: &'a Object, member: &str) -> Result<Vec<&'a str>, Failure> {
    read(payload, member, "an array of strings", |value| {
        value.as_array()?.iter().map(Value::as_str).collect()
    })
}

pub(super) fn scopes(payload: &Object, member: &str) -> Result<Vec<Scope>, Failure> {
    read(payload, member, "an array of scopes, which are of printable ASCII", |value| {
        value.as_array()?.iter().map(|item| Scope::new(item.as_str()?).ok()).collect()
    })
}

/// Reads `member` with `read`, if it is present.
pub(super) fn optional<'a, T>(
    payload: &'a Object,
    member: &str,
    read: impl FnOnce(&'a Object, &str) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    payload.contains_key(member).then(|| read(payload, member)).transpose()
}

/// The error for a member that has the right type but an invalid value.
pub(super) fn wrong(member: &str, expected: &str) -> Failure {
    Failure::Input(format!("`{member}`: expected {expected}"))
}

fn read<'a, T>(
    payload: &'a Object,
    member: &str,
    expected: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T, Failure> {
    let value = payload.get(member);
    value.and_then(read).ok_or_else(|| {
        let found = value.map_or("nothing", kind);
        Failure::Input(format!("`{member}`: expected {expected}, found {found}"))
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
