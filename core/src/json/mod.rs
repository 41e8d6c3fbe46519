//! JSON that may hold secrets: errors say where and what type of value was found, and never repeat
//! it.

mod read;
mod write;

pub(crate) use read::{Members, items, number, parse, string};
pub(crate) use write::{push_array, push_string};

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
