//! The error with which a Hawk server rejects a request.

use std::fmt;

/// Why a Hawk server rejects a request. The message is the one of npm `hawk` 9, which clients of
/// Taskcluster see.
///
/// ```
/// use taskcluster_proxy_core::hawk::HawkError;
///
/// let error = HawkError::bad_request("Invalid bewit encoding");
/// assert_eq!(error.to_string(), "Bad Request: Invalid bewit encoding");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HawkError {
    kind: ErrorKind,
    reason: String,
}

/// The kind of a [`HawkError`], which determines the prefix of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    /// The request is malformed: `Bad Request: ...`.
    BadRequest,
    /// The request is well formed, but not allowed: `Unauthorized: ...`.
    Unauthorized,
    /// The credentials are unknown or inconsistent: the reason without a prefix.
    Credentials,
}

impl HawkError {
    /// The request is malformed.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::BadRequest, reason: reason.into() }
    }

    /// The signature is not valid for the request.
    pub(crate) fn unauthorized(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unauthorized, reason: reason.into() }
    }

    /// The credentials cannot be used.
    pub fn credentials(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Credentials, reason: reason.into() }
    }
}

impl fmt::Display for HawkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.kind {
            ErrorKind::BadRequest => "Bad Request",
            ErrorKind::Unauthorized => "Unauthorized",
            ErrorKind::Credentials => return f.write_str(&self.reason),
        };
        match self.reason.as_str() {
            "" => f.write_str(prefix),
            reason => write!(f, "{prefix}: {reason}"),
        }
    }
}

impl std::error::Error for HawkError {}
