//! Requests to upstreams: connect, sign, send, try again, stream.

mod answer_first;
mod connect;
mod error;
mod pool;
mod replay;
mod resolve;
mod tls;

pub use connect::ProxyVariable;
pub use error::SendError;
pub use replay::{Attempt, Hold, Replay, ReplayBudget, Taken, Upload};

use crate::clock::{self, Nonces};
use crate::config::Limits;
use bytes::Bytes;
use connect::Connector;
use http::header::{AUTHORIZATION, EXPECT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pool::{Connection, Pool, Reuse};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{
    Decision, HostPolicy, Outcome, Repeatable, RetryPolicy, Target, has_transfer_coding,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(crate) use connect::{BUFFER, KEEPALIVE};

/// Everything that requests to upstreams share.
#[derive(Debug)]
pub struct Upstream {
    pool: Arc<Pool>,
    policy: RetryPolicy,
    nonces: Nonces,
}

/// Why no request can be sent at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A variable is to name a proxy, and does not.
    #[error(transparent)]
    Proxy(#[from] ProxyVariable),
    /// There are no nonces.
    #[error("the system has no randomness to give: {0}")]
    Randomness(#[from] std::io::Error),
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

/// The answer to a request.
#[derive(Debug)]
pub struct Exchanged {
    /// It, its body to follow.
    pub answer: Response<UpstreamBody>,
    /// How often the request was sent for it.
    pub attempts: u32,
    /// How much of the request's body went into it.
    pub taken: Taken,
}

/// The head of an answer, and what its body depends on.
struct Answer {
    response: Response<Incoming>,
    connection: Box<Connection>,
    upload: Upload,
}

impl Upstream {
    /// Nothing is connected or read before the first request. Requests go where `hosts` lets them.
    ///
    /// # Errors
    ///
    /// The environment names a proxy that is none, or the system has no randomness to give.
    pub fn new(limits: &Limits, hosts: Arc<HostPolicy>) -> Result<Self, SetupError> {
        let connector = Connector::new(limits.connect_timeout, hosts)?;
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
    pub async fn exchange(&self, outgoing: &Outgoing<'_>) -> Result<Exchanged, SendError> {
        let Outgoing { method, target, body, .. } = outgoing;
        let mut first_failure = None;
        let mut last_answer = None;
        let mut attempt = 1;
        loop {
            let result = match first_failure {
                None => self.attempt(outgoing).await,
                Some(since) => self.attempt_until(since + self.policy.budget, outgoing).await,
            };
            let outcome = match &result {
                Ok(answer) => Outcome::Answered(answer.response.status()),
                Err(error) => error.outcome(),
            };
            let repeatable = Repeatable::new(target.form, method, body.is_kept());
            let since = first_failure.map(|first: Instant| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, repeatable, self.nonces.jitter()) {
                // At once: an upload that goes on meanwhile could outgrow what is kept.
                Decision::RetryAfter(delay) if body.rewind() => {
                    tracing::debug!(attempt, ?outcome, ?delay, "trying again");
                    first_failure.get_or_insert_with(Instant::now);
                    last_answer = result.ok().or(last_answer);
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                Decision::RetryAfter(_) | Decision::Deliver => {
                    let taken = body.finish();
                    // A connection is of further use if its request went out, or still does.
                    let (answer, reusable) = match (result, last_answer) {
                        (Ok(answer), _) => (answer, taken != Taken::Nothing),
                        (Err(_), Some(answer)) => (answer, false),
                        (Err(error), None) => return Err(error),
                    };
                    let answer = self.deliver(answer, reusable);
                    return Ok(Exchanged { answer, attempts: attempt, taken });
                }
            }
        }
    }

    async fn attempt_until(
        &self,
        deadline: Instant,
        outgoing: &Outgoing<'_>,
    ) -> Result<Answer, SendError> {
        let mut attempt = pin!(self.attempt(outgoing));
        match timeout_at(deadline, &mut attempt).await {
            Ok(result) => result,
            // A long upload is no failure, and there is none to come that could take its place.
            Err(_) if !outgoing.body.is_kept() => attempt.await,
            Err(_) => Err(SendError::Budget(self.policy.budget)),
        }
    }

    async fn attempt(&self, outgoing: &Outgoing<'_>) -> Result<Answer, SendError> {
        let Outgoing { method, target, headers, body, signer } = outgoing;
        // Whether another attempt could take this one's place decides what connection is good
        // enough; that more of the body may come than fits counts as no.
        let repeatable = Repeatable::new(target.form, method, body.will_fit());
        let reuse = if repeatable == Repeatable::Yes { Reuse::Yes } else { Reuse::Http2 };
        let asked = expects_continue(headers).then(|| Arc::new(Notify::new()));
        let (body, upload) = body.attempt(asked.clone().map(Hold::new));
        let mut request = Request::new(body);
        if let Some(asked) = asked {
            hyper::ext::on_informational(&mut request, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    asked.notify_one();
                }
            });
        }
        request.method_mut().clone_from(method);
        request.headers_mut().clone_from(headers);
        if let Some(signer) = signer {
            let nonce = self.nonces.next();
            let signed =
                signer.authorization(method.as_str(), &target.uri, clock::now(), &nonce)?;
            request.headers_mut().insert(AUTHORIZATION, signed);
        }
        let (response, connection) = self.pool.send(request, &target.uri, reuse).await?;
        expect_usable(&response)?;
        Ok(Answer { response, connection, upload })
    }

    fn deliver(&self, answer: Answer, reusable: bool) -> Response<UpstreamBody> {
        let Answer { response, connection, upload } = answer;
        response.map(|incoming| {
            let held = Some(Held { connection, upload, reusable });
            let mut body = UpstreamBody { incoming, held, cut: None, pool: Arc::clone(&self.pool) };
            body.release_at_end();
            body
        })
    }
}

/// What nobody asked for would be taken for something else by the client.
fn expect_usable(response: &Response<Incoming>) -> Result<(), SendError> {
    let reason = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        "101 (Switching Protocols), which nobody asked for"
    } else if has_transfer_coding(response.headers()) {
        "a transfer coding other than chunked, which nobody asked for"
    } else {
        return Ok(());
    };
    Err(SendError::Unusable(reason.to_owned()))
}

/// Whether the client sends its body only when it is told to (RFC 9110 section 10.1.1).
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The body of an upstream's answer. When it has come to its end its connection is free again;
/// dropped before that, the connection is closed.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    held: Option<Held>,
    /// Why it is cut short, if that is not told yet.
    cut: Option<hyper::Error>,
    pool: Arc<Pool>,
}

/// What goes when an answer has ended, or nobody reads it any more.
#[derive(Debug)]
struct Held {
    connection: Box<Connection>,
    upload: Upload,
    /// Whether the connection can take another request after this one.
    reusable: bool,
}

impl UpstreamBody {
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(Held { connection, upload, reusable: true }) = self.held.take() {
            upload.go_on();
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
        if let Some(error) = self.cut.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        match frame {
            None => self.release(),
            // Nobody asks for what comes after them.
            Some(Ok(ref frame)) if frame.is_trailers() => self.release(),
            Some(Ok(_)) => self.release_at_end(),
            Some(Err(error)) => {
                self.held = None;
                // An error ends the client's connection, and what came before would be lost, even
                // the head: a pause lets hyper send it.
                self.cut = Some(error);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
