//! Why a Hawk server rejects a request.

use std::fmt;

/// Why a Hawk server rejects a request, in the words of npm `hawk` 9, which clients of Taskcluster
/// see.
///
/// ```
/// use taskcluster_proxy_core::hawk::HawkError;
///
/// let error = HawkError::bad_request("Invalid bewit encoding");
/// assert_eq!(error.to_string(), "Bad Request: Invalid bewit encoding");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HawkError {
    rejection: Rejection,
    reason: String,
}

/// Which kind of rejection a [`HawkError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejection {
    /// The request is malformed: `Bad Request: ..`.
    BadRequest,
    /// The request is well formed, and not allowed: `Unauthorized: ..`.
    Unauthorized,
    /// The credentials are unknown or do not fit together; the reason stands alone.
    Credentials,
}

impl HawkError {
    /// A malformed request.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self { rejection: Rejection::BadRequest, reason: reason.into() }
    }

    /// A request whose proof does not hold.
    pub(crate) fn unauthorized(reason: impl Into<String>) -> Self {
        Self { rejection: Rejection::Unauthorized, reason: reason.into() }
    }

    /// Credentials that cannot be used.
    pub fn credentials(reason: impl Into<String>) -> Self {
        Self { rejection: Rejection::Credentials, reason: reason.into() }
    }
}

impl fmt::Display for HawkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.rejection {
            Rejection::BadRequest => "Bad Request",
            Rejection::Unauthorized => "Unauthorized",
            Rejection::Credentials => return f.write_str(&self.reason),
        };
        match self.reason.as_str() {
            "" => f.write_str(kind),
            reason => write!(f, "{kind}: {reason}"),
        }
    }
}

impl std::error::Error for HawkError {}
