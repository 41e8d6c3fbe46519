//! Why a request was not forwarded, or its response not received.

use super::connect::ConnectProgress;
use super::connect_error::ConnectError;
use super::forward_proxy::ForwardProxy;
use super::http1::{MAX_BEFORE_RESPONSE, MAX_HEADER_FIELDS, MAX_HEADER_SECTION};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::proxy::{HostError, Outcome, ProxyError};

/// Why an attempt brought no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// There must be no connection.
    #[error(transparent)]
    Host(HostError),
    /// There was no connection within the time for that.
    #[error("no connection within {} seconds (--connect-timeout): {}", .0.as_secs_f32(), .1)]
    ConnectTimeout(Duration, ConnectProgress),
    /// All connections that one upstream may have carry as many requests as they can.
    #[error(
        "the upstream takes no more requests at once than there are, and none of them ended within {} seconds",
        .0.as_secs_f32()
    )]
    Busy(Duration),
    /// The request was not sent on the connection that was chosen for it, which the upstream is
    /// closing in an orderly way.
    #[error("{}", explain(.0))]
    Unsent(#[source] hyper::Error),
    /// The upstream closes the connection in an orderly way, and says that it did not process the request
    /// (RFC 9113 section 6.8).
    #[error("{}", explain(.0))]
    GoneAway(#[source] hyper::Error),
    /// The upstream says that it did not process the request (RFC 9113 section 8.7).
    #[error("{}", explain(.0))]
    NotProcessed(#[source] hyper::Error),
    /// The connection had been used before, and was closed without a byte of a response: the upstream
    /// closed it while it was idle, most likely.
    #[error("{}", explain(.0))]
    ClosedWhileIdle(#[source] hyper::Error),
    /// The connection broke before a response came.
    #[error("{}", explain(.0))]
    Broken(#[source] hyper::Error),
    /// What the upstream sent is not HTTP.
    #[error("expected an HTTP response, found something else: {}", explain(.0))]
    NotHttp(#[source] hyper::Error),
    /// A response came that cannot be forwarded, and would not be another one the next time.
    #[error("the response cannot be forwarded: {0}")]
    Unusable(#[from] UnusableResponse),
    /// The client's request ended early.
    #[error("{}", explain(&**.0))]
    Client(#[source] Arc<hyper::Error>),
    /// No response came before all retries had to end.
    #[error("no response within {} seconds of retries", .0.as_secs_f32())]
    Budget(Duration),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What about a response keeps it from being forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableResponse {
    /// The proxy forwards no request that asks for another protocol.
    #[error("101 (Switching Protocols), which nobody asked for")]
    SwitchingProtocols,
    /// Interim responses without an end.
    #[error(
        "more than {} KiB of header section and interim responses (1xx)",
        MAX_BEFORE_RESPONSE / 1024
    )]
    InterimResponses,
    /// Its body would be forwarded without its coding being named.
    #[error("expected no transfer coding or chunked, found another one")]
    TransferCoding,
    /// Several lengths, or none that is a number.
    #[error("expected a Content-Length of one number, found something else")]
    ContentLength,
    /// Its header section is not read to the end.
    #[error(
        "its header section is larger than {} KiB, or has more than {MAX_HEADER_FIELDS} fields",
        MAX_HEADER_SECTION / 1024
    )]
    HeaderSectionTooLarge,
}

impl UpstreamError {
    /// Of a request that hyper could not send, or get a response to, over HTTP/1.1.
    pub(super) fn of_http1(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            UnusableResponse::HeaderSectionTooLarge.into()
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::Broken(error)
        }
    }

    /// The same over HTTP/2. `unsent`: hyper gave the request back.
    pub(super) fn of_http2(error: hyper::Error, unsent: bool) -> Self {
        match find::<h2::Error>(&error) {
            _ if unsent => Self::Unsent(error),
            // A stream above the last one that the upstream says it processed.
            Some(h2) if h2.is_go_away() && h2.is_remote() => Self::GoneAway(error),
            Some(h2) if h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                Self::NotProcessed(error)
            }
            _ => Self::Broken(error),
        }
    }

    /// What the retry policy has to know of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(error) if error.is_permanent() => Outcome::Permanent,
            Self::Connect(_) | Self::Unsent(_) | Self::GoneAway(_) | Self::NotProcessed(_) => {
                Outcome::NothingSent
            }
            Self::Broken(_) | Self::NotHttp(_) | Self::ClosedWhileIdle(_) => Outcome::NoResponse,
            // Every address had the time that there is.
            Self::ConnectTimeout(..)
            | Self::Host(_)
            | Self::Busy(_)
            | Self::Unusable(_)
            | Self::Client(_)
            | Self::Budget(_)
            | Self::Sign(_) => Outcome::Permanent,
        }
    }

    /// The same, said of a forward proxy.
    pub(super) fn of_proxy(self, proxy: &ForwardProxy) -> Self {
        match self {
            Self::Connect(reason) => {
                ConnectError::Proxy { proxy: proxy.to_string(), reason: Box::new(reason) }.into()
            }
            error => error,
        }
    }

    /// What the client gets for it. `upstream`: scheme, host and port.
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
            | Self::Broken(_)
            | Self::NotHttp(_)
            | Self::Unusable(_) => ProxyError::Unreachable { upstream, reason: self.to_string() },
        }
    }
}

/// An error with all that caused it in one line; what is repeated is left out.
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The first error of type `T` among what caused `error`.
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
