//! Errors of sending a request to an upstream and of receiving its response.

use super::connect::ConnectProgress;
use super::connect_error::ConnectError;
use super::forward_proxy::ForwardProxy;
use super::http1::{MAX_BEFORE_RESPONSE, MAX_HEADER_FIELDS, MAX_HEADER_SECTION};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::proxy::{HostError, Outcome, ProxyError};

/// Why an attempt ended without a response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Connecting failed.
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// The access policy does not allow the host's addresses.
    #[error(transparent)]
    Host(HostError),
    /// The connect timeout expired.
    #[error("no connection within {} s (--connect-timeout): {}", .0.as_secs_f32(), .1)]
    ConnectTimeout(Duration, ConnectProgress),
    /// The maximum number of connections to the upstream have the maximum number of requests.
    #[error(
        "the upstream accepts no further concurrent requests, and none ended within {} s",
        .0.as_secs_f32()
    )]
    Busy(Duration),
    /// The request was not sent, because the upstream is closing the connection that was chosen for it.
    #[error("{}", explain(.0))]
    Unsent(#[source] hyper::Error),
    /// The upstream closed the connection with GOAWAY, and did not process the request (RFC 9113 section
    /// 6.8).
    #[error("{}", explain(.0))]
    GoneAway(#[source] hyper::Error),
    /// The upstream reset the stream with REFUSED_STREAM: it did not process the request (RFC 9113 section
    /// 8.7).
    #[error("{}", explain(.0))]
    NotProcessed(#[source] hyper::Error),
    /// The connection was used before, and was closed without a byte of the response: most likely the
    /// upstream closed it while it was idle.
    #[error("{}", explain(.0))]
    ClosedWhileIdle(#[source] hyper::Error),
    /// The connection was lost before the response.
    #[error("{}", explain(.0))]
    ConnectionLost(#[source] hyper::Error),
    /// The response is not HTTP.
    #[error("expected an HTTP response, found something else: {}", explain(.0))]
    NotHttp(#[source] hyper::Error),
    /// The response cannot be forwarded; a retry would get the same.
    #[error("the response cannot be forwarded: {0}")]
    Unusable(#[from] UnusableResponse),
    /// The client's request body could not be read to its end.
    #[error("{}", explain(&**.0))]
    Client(#[source] Arc<hyper::Error>),
    /// The retry budget was exhausted before a response.
    #[error("no response within {} s of retries", .0.as_secs_f32())]
    Budget(Duration),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why a response cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableResponse {
    /// The status is 101, although the proxy never forwards `Upgrade`.
    #[error("found 101 (Switching Protocols), which was not requested")]
    SwitchingProtocols,
    /// There were too many interim responses.
    #[error(
        "more than {} KiB of header section and interim responses (1xx)",
        MAX_BEFORE_RESPONSE / 1024
    )]
    InterimResponses,
    /// The body has a transfer coding other than chunked.
    #[error("expected no transfer coding or chunked, found another one")]
    TransferCoding,
    /// The `Content-Length` is not a single number.
    #[error("expected a Content-Length of one number, found something else")]
    ContentLength,
    /// The header section exceeds the limits.
    #[error(
        "its header section is larger than {} KiB, or has more than {MAX_HEADER_FIELDS} fields",
        MAX_HEADER_SECTION / 1024
    )]
    HeaderSectionTooLarge,
}

impl UpstreamError {
    /// The error for an HTTP/1.1 request that failed with `error`.
    pub(super) fn from_http1(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            UnusableResponse::HeaderSectionTooLarge.into()
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::ConnectionLost(error)
        }
    }

    /// The error for an HTTP/2 request that failed with `error`. `unsent` says whether hyper returned the
    /// request without sending it.
    pub(super) fn from_http2(error: hyper::Error, unsent: bool) -> Self {
        match find::<h2::Error>(&error) {
            _ if unsent => Self::Unsent(error),
            // The stream is above the last one that the upstream has processed.
            Some(h2) if h2.is_go_away() && h2.is_remote() => Self::GoneAway(error),
            Some(h2) if h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                Self::NotProcessed(error)
            }
            _ => Self::ConnectionLost(error),
        }
    }

    /// The outcome of the attempt, for the retry policy.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(error) if error.is_permanent() => Outcome::Permanent,
            Self::Connect(_) | Self::Unsent(_) | Self::GoneAway(_) | Self::NotProcessed(_) => {
                Outcome::NothingSent
            }
            Self::ConnectionLost(_) | Self::NotHttp(_) | Self::ClosedWhileIdle(_) => {
                Outcome::NoResponse
            }
            // A connect timeout is permanent: all addresses were tried within it.
            Self::ConnectTimeout(..)
            | Self::Host(_)
            | Self::Busy(_)
            | Self::Unusable(_)
            | Self::Client(_)
            | Self::Budget(_)
            | Self::Sign(_) => Outcome::Permanent,
        }
    }

    /// Adds the forward proxy to a connect error.
    pub(super) fn through_proxy(self, proxy: &ForwardProxy) -> Self {
        match self {
            Self::Connect(reason) => {
                ConnectError::Proxy { proxy: proxy.to_string(), reason: Box::new(reason) }.into()
            }
            error => error,
        }
    }

    /// The error with which the proxy responds to the client. `upstream` is the upstream's scheme, host and
    /// port.
    pub fn into_proxy_error(self, upstream: String) -> ProxyError {
        match self {
            Self::Sign(error) => error.into(),
            Self::Host(error) => error.into(),
            Self::Client(_) => ProxyError::Body(self.to_string()),
            Self::Busy(_) => ProxyError::Busy(format!("{upstream}: {self}")),
            Self::ConnectTimeout(..) | Self::Budget(_) => {
                ProxyError::TimedOut { upstream, reason: self.to_string() }
            }
            Self::Connect(_)
            | Self::Unsent(_)
            | Self::GoneAway(_)
            | Self::NotProcessed(_)
            | Self::ClosedWhileIdle(_)
            | Self::ConnectionLost(_)
            | Self::NotHttp(_)
            | Self::Unusable(_) => ProxyError::Unreachable { upstream, reason: self.to_string() },
        }
    }
}

/// The message of an error and of all its sources in one line, without repetitions.
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = message(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = message(cause);
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The message of an error without its sources, in the terms of the protocols.
fn message(error: &(dyn Error + 'static)) -> String {
    if let Some(h2) = error.downcast_ref::<h2::Error>()
        && let Some(reason) = h2.reason()
    {
        let code = match u32::from(reason) {
            code @ ..=0xd => format!("{reason:?} ({code:#x})"),
            code => format!("{code:#x}"),
        };
        return match (h2.is_remote(), h2.is_go_away()) {
            (true, true) => format!("the connection was closed by GOAWAY with {code}"),
            (true, false) => format!("the stream was reset by RST_STREAM with {code}"),
            (false, _) => format!("the HTTP/2 of the other side is not valid: {code}"),
        };
    }
    let text = error.to_string();
    // rustls' error refers to its manual.
    match text.starts_with("peer closed connection without sending TLS close_notify") {
        true => "the connection was closed without a close_notify of TLS".to_owned(),
        false => text,
    }
}

/// The first error of type `T` among `error` and its sources.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
