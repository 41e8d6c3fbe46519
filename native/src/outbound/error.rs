//! Why a request was not forwarded, or its response not received.

use super::forward_proxy::ForwardProxy;
use super::http1::{MAX_HEADER_FIELDS, MAX_HEADER_SECTION};
use std::error::Error;
use std::time::Duration;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::proxy::{HostError, Outcome, ProxyError};

/// Why an attempt brought no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// There is no connection, for a reason that may pass.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// There is no connection, for a reason that will stay.
    #[error("cannot connect: {0}")]
    Refused(String),
    /// There is no connection: the certificate that was shown does not hold, and will not hold the
    /// next time either.
    #[error("cannot connect: {0}")]
    Untrusted(String),
    /// There must be no connection.
    #[error(transparent)]
    Host(HostError),
    /// There was no connection within the time for that. The text says how far it had come.
    #[error("no connection within {} seconds (--connect-timeout): {}", .0.as_secs_f32(), .1)]
    ConnectTimeout(Duration, String),
    /// All connections that one upstream may have carry as many requests as they can.
    #[error(
        "the upstream takes no more requests at once than there are, and none of them ended within {} seconds",
        .0.as_secs_f32()
    )]
    Busy(Duration),
    /// The request was not sent on the connection that was chosen for it, which the upstream is
    /// closing in an orderly way.
    #[error("{0}")]
    Unsent(String),
    /// The upstream closes the connection in an orderly way, and says that it did not process the request
    /// (RFC 9113 section 6.8).
    #[error("{0}")]
    GoneAway(String),
    /// The upstream says that it did not process the request (RFC 9113 section 8.7).
    #[error("{0}")]
    NotProcessed(String),
    /// The connection had been used before, and was closed without a word of a response: the upstream
    /// closed it while it was idle, most likely.
    #[error("{0}")]
    ClosedWhileIdle(String),
    /// The connection broke before a response came, or what came is not HTTP.
    #[error("{0}")]
    Broken(String),
    /// A response came that cannot be forwarded, and would not be another one the next time.
    #[error("the response cannot be forwarded: {0}")]
    Unusable(String),
    /// The same, for its size.
    #[error(
        "the response cannot be forwarded: its header section is larger than {} KiB, or has more than \
         {MAX_HEADER_FIELDS} fields",
        MAX_HEADER_SECTION / 1024
    )]
    HeaderSectionTooLarge,
    /// The client's request ended early.
    #[error("{0}")]
    Client(String),
    /// No response came before all retries had to end.
    #[error("no response within {} seconds of retries", .0.as_secs_f32())]
    Budget(Duration),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl UpstreamError {
    /// Of a request that hyper could not send, or get a response to, over HTTP/1.1.
    pub(super) fn of_http1(error: &hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::HeaderSectionTooLarge
        } else if error.is_parse() {
            Self::Broken(format!(
                "expected an HTTP response, found something else: {}",
                explain(error)
            ))
        } else {
            Self::Broken(explain(error))
        }
    }

    /// The same over HTTP/2. `unsent`: hyper gave the request back.
    pub(super) fn of_http2(error: &hyper::Error, unsent: bool) -> Self {
        let reason = explain(error);
        match find::<h2::Error>(error) {
            _ if unsent => Self::Unsent(reason),
            // A stream above the last one that the upstream says it processed.
            Some(error) if error.is_go_away() && error.is_remote() => Self::GoneAway(reason),
            Some(error)
                if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) =>
            {
                Self::NotProcessed(reason)
            }
            _ => Self::Broken(reason),
        }
    }

    /// What the retry policy has to know of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(_) | Self::Unsent(_) | Self::GoneAway(_) | Self::NotProcessed(_) => {
                Outcome::NothingSent
            }
            Self::Broken(_) | Self::ClosedWhileIdle(_) => Outcome::Broken,
            // Every address had the time that there is.
            Self::ConnectTimeout(..)
            | Self::Refused(_)
            | Self::Untrusted(_)
            | Self::Host(_)
            | Self::Busy(_)
            | Self::Unusable(_)
            | Self::HeaderSectionTooLarge
            | Self::Client(_)
            | Self::Budget(_)
            | Self::Sign(_) => Outcome::Permanent,
        }
    }

    /// The same, said of a forward proxy. A certificate that does not hold is not the upstream's then,
    /// which [`Untrusted`](Self::Untrusted) means.
    pub(super) fn of_proxy(self, proxy: &ForwardProxy) -> Self {
        match self {
            Self::Connect(reason) => Self::Connect(format!("proxy {proxy}: {reason}")),
            Self::Refused(reason) | Self::Untrusted(reason) => {
                Self::Refused(format!("proxy {proxy}: {reason}"))
            }
            Self::ConnectTimeout(timeout, progress) => {
                Self::ConnectTimeout(timeout, format!("proxy {proxy}: {progress}"))
            }
            error => error,
        }
    }

    /// What the client gets for it. `upstream`: scheme, host and port.
    pub fn into_proxy_error(self, upstream: String) -> ProxyError {
        match self {
            Self::Sign(error) => error.into(),
            Self::Host(error) => error.into(),
            Self::Client(reason) => ProxyError::Body(reason),
            Self::Busy(_) => ProxyError::Busy(format!("{upstream}: {self}")),
            Self::ConnectTimeout(..) | Self::Budget(_) => {
                ProxyError::TimedOut { upstream, reason: self.to_string() }
            }
            Self::Connect(_)
            | Self::Refused(_)
            | Self::Untrusted(_)
            | Self::Unsent(_)
            | Self::GoneAway(_)
            | Self::NotProcessed(_)
            | Self::ClosedWhileIdle(_)
            | Self::Broken(_)
            | Self::Unusable(_)
            | Self::HeaderSectionTooLarge => {
                ProxyError::Unreachable { upstream, reason: self.to_string() }
            }
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
