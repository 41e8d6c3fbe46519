use super::proxies::ForwardProxy;
use crate::http1::{BodyError, FramingError, HeadError};
use std::error::Error;
use std::time::Duration;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::proxy::{HostError, Outcome, ProxyError};

/// Why an attempt brought no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
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
    /// There was no connection in time.
    #[error("no connection within {} seconds", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The connection broke before an answer came, or what came is not HTTP.
    #[error("{0}")]
    Broken(String),
    /// An answer came that cannot be passed on, and would not be another one the next time.
    #[error("the answer cannot be passed on: {0}")]
    Unusable(String),
    /// The client's request ended before its time.
    #[error("{0}")]
    Client(String),
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The answer did not come before all retries had to end.
    #[error("no answer within {} seconds of retries", .0.as_secs_f32())]
    Budget(Duration),
    /// The request cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl SendError {
    /// What the retry policy has to know of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) => Outcome::NothingSent,
            Self::Broken(_) => Outcome::Broken,
            Self::Refused(_)
            | Self::Untrusted(_)
            | Self::Host(_)
            | Self::Unusable(_)
            | Self::Client(_)
            | Self::Gone
            | Self::Budget(_)
            | Self::Sign(_) => Outcome::Hopeless,
        }
    }

    /// The same, said of a proxy on the way. A certificate that does not hold is not the upstream's then,
    /// which [`Untrusted`](Self::Untrusted) means.
    pub(super) fn of_proxy(self, proxy: &ForwardProxy) -> Self {
        match self {
            Self::Connect(reason) => Self::Connect(format!("proxy {proxy}: {reason}")),
            Self::Refused(reason) | Self::Untrusted(reason) => {
                Self::Refused(format!("proxy {proxy}: {reason}"))
            }
            error => error,
        }
    }

    /// What the caller gets for it. `upstream`: scheme, host and port.
    pub fn into_proxy_error(self, upstream: String) -> ProxyError {
        match self {
            Self::Sign(error) => error.into(),
            Self::Host(error) => error.into(),
            Self::Client(reason) => ProxyError::Body(reason),
            Self::Gone => ProxyError::Body(self.to_string()),
            Self::ConnectTimeout(_) | Self::Budget(_) => {
                ProxyError::TimedOut { upstream, reason: self.to_string() }
            }
            Self::Connect(_)
            | Self::Refused(_)
            | Self::Untrusted(_)
            | Self::Broken(_)
            | Self::Unusable(_) => ProxyError::Unreachable { upstream, reason: self.to_string() },
        }
    }
}

/// Of an answer.
impl From<BodyError> for SendError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Cut | BodyError::Broken(_) | BodyError::Malformed(_) => {
                Self::Broken(error.to_string())
            }
            BodyError::Head(HeadError::Malformed(_) | HeadError::Framing(FramingError::Length)) => {
                Self::Broken(format!(
                    "expected an answer of HTTP/1.1, found something else: {error}"
                ))
            }
            // It would be the same the next time.
            BodyError::Head(_) | BodyError::HeadTooLarge => Self::Unusable(error.to_string()),
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
