//! What the proxy itself responds with, and its status.

use super::{BrowserError, HostError, RouteError};
use crate::Timestamp;
use crate::credentials::{CredentialsFinding, JsonError, SignError};
use crate::hawk::UrlError;
use serde::Serialize;

/// An error that the proxy itself responds with.
///
/// The one place where an error becomes a status and a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The message is not as RFC 9112 has it.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// No destination has this request target.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An endpoint of the proxy's own does not take this method.
    #[error("expected {allow} {endpoint}, found {method}")]
    Method {
        /// The path.
        endpoint: &'static str,
        /// The method that it takes.
        allow: &'static str,
        /// The method of the request.
        method: String,
    },
    /// CONNECT, which asks for a tunnel, or TRACE, which would show what was signed.
    #[error(
        "{0} is not for this proxy: send it requests such as GET /api/<service>/<version>/<path>"
    )]
    UnsupportedMethod(&'static str),
    /// A body that is coded for this hop.
    #[error("expected a body without a transfer coding, or in chunks alone, found another coding")]
    TransferCoding,
    /// The body of `POST /bewit` is no URL.
    #[error("the body of POST /bewit is the URL to sign: {0}")]
    BewitUrl(#[from] UrlError),
    /// The body of `PUT /credentials` is no credentials.
    #[error("the credentials stay as they are: {0}")]
    Credentials(#[from] JsonError),
    /// A request of a web page.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// A host that requests may not go to.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not everyone may change the credentials.
    #[error(
        "PUT /credentials is for {expected} alone (--credentials-from), found a connection {found}: \
         the credentials stay as they are"
    )]
    CredentialsFrom {
        /// Who may.
        expected: String,
        /// Who it was.
        found: String,
    },
    /// A body to one of the proxy's own endpoints is too large.
    #[error("expected a body of at most {limit} bytes, found a longer one")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The client's body could not be read to its end.
    #[error("the request body could not be read: {0}")]
    Body(String),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Nothing can be signed with the credentials.
    #[error("{finding} (in force since {})", .since.to_rfc3339())]
    UnusableCredentials {
        /// What is wrong about them.
        finding: CredentialsFinding,
        /// Since when they are the current credentials.
        since: Timestamp,
    },
    /// No response came from the upstream.
    #[error("no response from {upstream}: {reason}")]
    Unreachable {
        /// Scheme, host and port.
        upstream: String,
        /// What happened.
        reason: String,
    },
    /// The upstream took too long.
    #[error("no response from {upstream} in time: {reason}")]
    TimedOut {
        /// Scheme, host and port.
        upstream: String,
        /// What took how long.
        reason: String,
    },
    /// More is asked of the proxy at once than it takes.
    #[error("the proxy is busy: {0}: try again later, with fewer requests at once")]
    Busy(String),
    /// A fault of the proxy's own.
    #[error("the proxy failed to handle this request; its log says more")]
    Internal,
}

/// The body of a response to a request that failed.
#[derive(Serialize)]
struct Body {
    code: &'static str,
    message: String,
}

impl ProxyError {
    /// The response status.
    pub fn status(&self) -> http::StatusCode {
        http::StatusCode::from_u16(self.status_and_code().0)
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The `code` of the body.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// The value of the `Allow` header that goes with it.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { allow, .. } => Some(allow),
            // RFC 9110 section 15.5.6 wants one with each 405.
            Self::UnsupportedMethod(_) => Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            _ => None,
        }
    }

    /// The body, as JSON in the shape of Taskcluster's services; the official clients show
    /// `message`.
    pub fn to_json(&self) -> String {
        let body = Body { code: self.code(), message: self.to_string() };
        // Texts can always be written.
        serde_json::to_string(&body).unwrap_or_default()
    }

    fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Route(_) => (404, RouteError::CODE),
            Self::Method { .. } | Self::UnsupportedMethod(_) => (405, "MethodNotAllowed"),
            Self::CredentialsFrom { .. } | Self::Browser(_) | Self::Host(_) => (403, "Forbidden"),
            Self::TooLarge { .. } => (413, "InputTooLarge"),
            Self::Sign(error) => (400, error.code()),
            Self::BewitUrl(_)
            | Self::Credentials(_)
            | Self::TransferCoding
            | Self::Body(_)
            | Self::Malformed(_) => (400, "InputError"),
            Self::Unreachable { .. } => (502, "UpstreamUnreachable"),
            Self::TimedOut { .. } => (504, "UpstreamTimedOut"),
            Self::Busy(_) => (503, "Busy"),
            Self::UnusableCredentials { .. } | Self::Internal => (500, "InternalServerError"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_services_shape() {
        let error =
            ProxyError::Method { endpoint: "/bewit", allow: "POST", method: "GET\"".into() };
        assert_eq!(
            error.to_json(),
            r#"{"code":"MethodNotAllowed","message":"expected POST /bewit, found GET\""}"#
        );
        assert_eq!((error.status().as_u16(), error.allow()), (405, Some("POST")));
    }
}
