//! The errors with which the proxy itself responds, and their statuses.

use super::{BrowserError, HostError, RouteError};
use crate::Timestamp;
use crate::credentials::{CredentialsFinding, JsonError, SignError};
use crate::hawk::UrlError;
use serde::Serialize;

/// An error with which the proxy itself responds.
///
/// Only this type determines the status and body of such a response.
///
/// ```
/// use taskcluster_proxy_core::proxy::ProxyError;
///
/// let error = ProxyError::TooLarge { limit: 1024 };
/// assert_eq!((error.status().as_u16(), error.code()), (413, "InputTooLarge"));
/// assert!(error.to_json().starts_with(r#"{"code":"InputTooLarge","message":"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The request violates RFC 9112.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// The request target has no destination.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An endpoint of the proxy itself does not support this method.
    #[error("expected {allow} {endpoint}, found {method}")]
    Method {
        /// The path of the endpoint.
        endpoint: &'static str,
        /// The method that the endpoint supports.
        allow: &'static str,
        /// The method of the request.
        method: String,
    },
    /// The method is CONNECT, which requests a tunnel, or TRACE, which would reveal the signature.
    #[error(
        "{0} is not supported by this proxy: send requests such as GET \
         /api/<service>/<version>/<path>"
    )]
    UnsupportedMethod(&'static str),
    /// The body has a transfer coding other than chunked.
    #[error("expected no transfer coding or only chunked, found another one")]
    TransferCoding,
    /// The body of `POST /bewit` is not a URL that can be signed.
    #[error("the body of POST /bewit is the URL to sign: {0}")]
    BewitUrl(#[from] UrlError),
    /// The body of `PUT /credentials` cannot be read.
    #[error("the credentials were not replaced: {0}")]
    Credentials(#[from] JsonError),
    /// The request comes from a web page.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The access policy does not allow the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The access policy does not allow the client to replace the credentials.
    #[error(
        "only {expected} may send PUT /credentials (--credentials-from), found a connection {found}: \
         the credentials were not replaced"
    )]
    CredentialsFrom {
        /// The owners and networks that are allowed.
        expected: String,
        /// The owner or address of the connection.
        found: String,
    },
    /// The body of a request to one of the proxy's own endpoints is too large.
    #[error("expected a body of at most {limit} bytes, found a longer one")]
    TooLarge {
        /// The maximum in bytes.
        limit: usize,
    },
    /// The client's body could not be read to its end.
    #[error("the request body could not be read: {0}")]
    Body(String),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Nothing can be signed with the credentials.
    #[error("{finding} (current since {})", .since.to_rfc3339())]
    UnusableCredentials {
        /// What prevents signing.
        finding: CredentialsFinding,
        /// The time at which they became the current credentials.
        since: Timestamp,
    },
    /// No response was received from the upstream.
    #[error("no response from {upstream}: {reason}")]
    Unreachable {
        /// Scheme, host and port of the upstream.
        upstream: String,
        /// The reason.
        reason: String,
    },
    /// A timeout expired before the upstream responded.
    #[error("{upstream} timed out: {reason}")]
    TimedOut {
        /// Scheme, host and port of the upstream.
        upstream: String,
        /// The timeout that expired.
        reason: String,
    },
    /// A limit on concurrent requests or memory is reached.
    #[error("the proxy is busy: {0}: retry later, with fewer concurrent requests")]
    Busy(String),
    /// An internal error of the proxy.
    #[error("the proxy failed to handle this request; see its log")]
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

    /// The value of the `Allow` header field of the response, if it has one.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { allow, .. } => Some(allow),
            // RFC 9110 section 15.5.6 requires the field in each 405 response.
            Self::UnsupportedMethod(_) => Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            _ => None,
        }
    }

    /// The body: JSON in the form of Taskcluster's services. The official clients show `message`.
    pub fn to_json(&self) -> String {
        let body = Body { code: self.code(), message: self.to_string() };
        // Strings can always be serialized.
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
    fn bodies_have_the_form_of_the_services() {
        let error =
            ProxyError::Method { endpoint: "/bewit", allow: "POST", method: "GET\"".into() };
        assert_eq!(
            error.to_json(),
            r#"{"code":"MethodNotAllowed","message":"expected POST /bewit, found GET\""}"#
        );
        assert_eq!((error.status().as_u16(), error.allow()), (405, Some("POST")));
    }
}
