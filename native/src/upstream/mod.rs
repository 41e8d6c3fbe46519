//! Requests to upstreams: connect, sign, send, try again, stream.

mod connect;
mod error;
mod pool;
mod replay;
mod tls;

pub use error::SendError;
pub use replay::{Replay, ReplayBudget};

use crate::clock::{self, Nonces};
use crate::config::Limits;
use bytes::Bytes;
use connect::Connector;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pool::{Connection, Pool, Reuse};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{Decision, Outcome, Repeatable, RetryPolicy, Target};
use tokio::time::Instant;

pub(crate) use connect::BUFFER;

/// Everything that requests to upstreams share.
#[derive(Debug)]
pub struct Upstream {
    pool: Arc<Pool>,
    policy: RetryPolicy,
    nonces: Nonces,
}

/// A request to an upstream, as often as it has to be sent.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where to.
    pub target: &'a Target,
    /// All headers but those that say where to and from whom.
    pub headers: HeaderMap,
    /// The body.
    pub body: Replay,
    /// Who signs; `None`: the request goes unsigned.
    pub signer: Option<&'a Signer>,
}

impl Upstream {
    /// Nothing is connected or read before the first request.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn new(limits: &Limits) -> std::io::Result<Self> {
        let connector = Connector::new(limits.connect_timeout);
        Ok(Self {
            pool: Arc::new(Pool::new(connector, limits.upstream_idle_timeout)),
            policy: limits.retries,
            nonces: Nonces::new()?,
        })
    }

    /// Sends a request and returns the head of the answer, its body to follow. Tries again as the
    /// retry policy says; when that gives up, an answer that came is returned as it is.
    ///
    /// # Errors
    ///
    /// No attempt brought an answer.
    pub async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
    ) -> Result<(Response<UpstreamBody>, u32), SendError> {
        let Outgoing { method, target, body, .. } = outgoing;
        let mut first_failure = None;
        let mut last_answer = None;
        let mut attempt = 1;
        loop {
            let result = match first_failure {
                None => self.attempt(outgoing).await,
                Some(since) => {
                    tokio::time::timeout_at(since + self.policy.budget, self.attempt(outgoing))
                        .await
                        .unwrap_or(Err(SendError::Budget(self.policy.budget)))
                }
            };
            let outcome = match &result {
                Ok((answer, _)) => Outcome::Answered(answer.status()),
                Err(error) => error.outcome(),
            };
            let repeatable = Repeatable::new(target.form, method, body.is_kept());
            let since = first_failure.map(|first: Instant| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, repeatable, self.nonces.jitter()) {
                Decision::Deliver => {
                    body.finish();
                    let answer = match (result, last_answer) {
                        (Ok(answer), _) | (Err(_), Some(answer)) => answer,
                        (Err(error), None) => return Err(error),
                    };
                    return Ok((self.deliver(answer), attempt));
                }
                Decision::RetryAfter(delay) => {
                    tracing::debug!(attempt, ?outcome, ?delay, "trying again");
                    first_failure.get_or_insert_with(Instant::now);
                    last_answer = result.ok().or(last_answer);
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing<'_>,
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        let Outgoing { method, target, headers, body, signer } = outgoing;
        // Whether another attempt could take this one's place decides what connection is good
        // enough; that more of the body may come than fits counts as no.
        let repeatable = Repeatable::new(target.form, method, body.will_fit());
        let reuse = if repeatable == Repeatable::Yes { Reuse::Yes } else { Reuse::Http2 };
        let mut request = Request::new(body.attempt());
        request.method_mut().clone_from(method);
        request.headers_mut().clone_from(headers);
        if let Some(signer) = signer {
            let nonce = self.nonces.next();
            let signed =
                signer.authorization(method.as_str(), &target.uri, clock::now(), &nonce)?;
            request.headers_mut().insert(AUTHORIZATION, signed);
        }
        self.pool.send(request, &target.uri, reuse).await
    }

    fn deliver(
        &self,
        (answer, connection): (Response<Incoming>, Connection),
    ) -> Response<UpstreamBody> {
        answer.map(|incoming| {
            let mut body = UpstreamBody {
                incoming,
                connection: Some(connection),
                pool: Arc::clone(&self.pool),
            };
            body.release_at_end();
            body
        })
    }
}

/// The body of an upstream's answer. When it has come to its end its connection is free again;
/// dropped before that, the connection is closed.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    connection: Option<Connection>,
    pool: Arc<Pool>,
}

impl UpstreamBody {
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.release(),
            Poll::Ready(Some(Ok(_))) => self.release_at_end(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
