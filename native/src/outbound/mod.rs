//! Requests to upstreams: connect, sign, send, retry, and the response as it comes.

mod batched_writes;
mod client_connection;
mod connect;
mod error;
mod forward_proxy;
mod http1;
mod http2;
mod origin;
mod pool;
mod replay;
mod resolve;
mod response_body;
mod stream;
mod tls;

pub use client_connection::ClientConnection;
pub use error::SendError;
pub use forward_proxy::ProxyVariable;
pub use origin::{Origin, Target};
pub use replay::{ReplayBudget, RequestBody};
pub use response_body::{ResponseBody, ResponseBodyError};

use crate::clock::{self, Nonces, ServiceClock, SkewCorrection};
use crate::config::Limits;
use crate::telemetry::metrics::{Metrics, Retry};
use ::http::header::{AUTHORIZATION, CONNECTION, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, response};
use connect::Connector;
use http1::Via;
use hyper::body::Incoming;
use pool::{Connection, Pool, Reuse};
use replay::AttemptBody;
use response_body::Exchange;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{Decision, Form, HostPolicy, Outcome, Repeatable, RetryPolicy};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(crate) use connect::KEEPALIVE;

/// Everything that requests to upstreams share.
#[derive(Debug)]
pub struct Outbound {
    pool: Rc<Pool>,
    policy: RetryPolicy,
    nonces: Nonces,
    clock: ServiceClock,
    metrics: Arc<Metrics>,
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
pub struct OutboundRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where to.
    pub target: &'a Target,
    /// The end-to-end header fields, but those that say where to and from whom.
    pub headers: &'a HeaderMap,
    /// Whether the client can make use of trailers.
    pub accepts_trailers: bool,
    /// Who signs; `None`: the request goes unsigned.
    pub signer: Option<&'a Signer>,
}

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Status and header section.
    pub head: response::Parts,
    /// The body, as it comes.
    pub body: ResponseBody,
}

/// An attempt that brought a response.
struct Responded {
    response: UpstreamResponse,
    /// The time that the signature told, if there was one.
    signed_at: Timestamp,
}

/// A request that hyper did not send is sent on another connection at once, but not more often than
/// this: an upstream that accepts connections and takes no request is no better than one that refuses
/// them.
const MAX_UNSENT: u32 = 5;

impl Outbound {
    /// Nothing is connected or read before the first request. Requests go where `hosts` lets them;
    /// retries are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// The environment names a proxy that is none, or the system has no randomness to give.
    pub fn new(
        limits: &Limits,
        hosts: Arc<HostPolicy>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let connector = Connector::new(limits.connect_timeout, hosts)?;
        Ok(Self {
            pool: Pool::new(connector, limits.upstream_idle_timeout),
            policy: limits.retries,
            nonces: Nonces::new()?,
            clock: ServiceClock::default(),
            metrics,
        })
    }

    /// Sends a request with `body`, and returns the response, its body to follow. Retries as the policy
    /// says, and counts in `attempts`; when that gives up, the last response is returned as it is. To
    /// drop the future is to give the request up.
    ///
    /// # Errors
    ///
    /// No attempt brought a response, or the client's body failed.
    pub async fn send(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        attempts: &Cell<u32>,
    ) -> Result<UpstreamResponse, SendError> {
        let OutboundRequest { method, target, .. } = request;
        let mut first_failure = None;
        let mut last_response = None;
        let mut corrected = None;
        attempts.set(0);
        loop {
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            let deadline = first_failure.map(|first: Instant| first + self.policy.budget);
            let result = self.attempt(request, body, deadline).await;
            let outcome = match &result {
                Ok(responded) => Outcome::Answered(responded.response.head.status),
                Err(error) => error.outcome(),
            };
            match (&result, corrected) {
                (Ok(responded), None) if responded.is_unauthorized() && body.is_kept() => {
                    corrected = self.correct_skew(responded, request);
                    if corrected.is_some() && self.retries() {
                        body.suspend();
                        continue;
                    }
                }
                // What is refused with the right time, too, is refused for another reason.
                (Ok(responded), Some(correction)) if responded.is_unauthorized() => {
                    self.clock.undo(correction);
                }
                _ => {}
            }
            let repeatable = Repeatable::new(target.form, method, body.is_kept());
            let since = first_failure.map(|first| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, repeatable, self.nonces.jitter()) {
                Decision::RetryAfter(delay) if body.is_kept() => {
                    let reason = Retry::after(outcome);
                    tracing::debug!(
                        attempt,
                        reason = reason.as_str(),
                        status = result.as_ref().ok().map(|it| it.response.head.status.as_u16()),
                        error = result.as_ref().err().map(tracing::field::display),
                        delay_ms = delay.as_secs_f64() * 1000.0,
                        "retrying"
                    );
                    self.metrics.retry(reason);
                    first_failure.get_or_insert_with(Instant::now);
                    last_response = result.ok().or(last_response);
                    body.suspend();
                    tokio::time::sleep(delay).await;
                }
                Decision::RetryAfter(_) | Decision::Deliver => {
                    body.stop_keeping();
                    return match (result, last_response) {
                        (Ok(responded), _) | (Err(_), Some(responded)) => Ok(responded.response),
                        (Err(error), None) => Err(error),
                    };
                }
            }
        }
    }

    /// The time that signatures for such a target tell. Only the deployment's own services are
    /// believed what the time is.
    pub fn now(&self, form: Form) -> Timestamp {
        match form {
            Form::Service => self.clock.now(),
            Form::Host => clock::now(),
        }
    }

    /// The forward proxy that connections to `origin` lead through, without its login.
    pub fn forward_proxy(&self, origin: &Origin) -> Option<impl std::fmt::Display> {
        self.pool.forward_proxy(origin)
    }

    /// Takes over the time from the response of a service that may have refused a request for the time
    /// that its signature tells.
    fn correct_skew(
        &self,
        refused: &Responded,
        request: &OutboundRequest<'_>,
    ) -> Option<SkewCorrection> {
        if request.target.form != Form::Service || request.signer.is_none() {
            return None;
        }
        let date = clock::date_of(&refused.response.head.headers)?;
        let correction = self.clock.correct(refused.signed_at, date)?;
        if correction.is_new() {
            let date = self.clock.now().to_rfc3339();
            tracing::warn!(
                "this machine's clock is wrong: for the services it is {date}; signing so"
            );
        }
        Some(correction)
    }

    async fn attempt(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        deadline: Option<Instant>,
    ) -> Result<Responded, SendError> {
        let OutboundRequest { method, target, .. } = request;
        // Whether another attempt could take this one's place decides which connection will do; that
        // more of the body may come than fits counts as no.
        let repeatable = Repeatable::new(target.form, method, body.will_fit());
        let reuse =
            if repeatable == Repeatable::Yes && self.retries() { Reuse::Any } else { Reuse::Http2 };
        let mut unsent = 0;
        loop {
            // Before there is a connection: what cannot be signed needs none.
            let signed_at = self.now(target.form);
            let authorization = self.sign(request, signed_at)?;
            let acquiring = self.pool.acquire(&target.origin, reuse);
            let connection = match deadline {
                None => acquiring.await,
                Some(deadline) => timeout_at(deadline, acquiring)
                    .await
                    .unwrap_or(Err(SendError::Budget(self.policy.budget))),
            }?;
            match self.exchange(request, authorization, body, connection, deadline).await {
                Ok(response) => return Ok(Responded { response, signed_at }),
                Err(SendError::Unsent(_)) if unsent < MAX_UNSENT && body.is_kept() => unsent += 1,
                Err(SendError::GoneAway(_))
                    if unsent < MAX_UNSENT && self.retries() && body.is_kept() =>
                {
                    unsent += 1;
                }
                Err(SendError::Stale(_)) if self.retries() && body.is_kept() => {}
                Err(error) => return Err(body.failure().map_or(error, SendError::Client)),
            }
        }
    }

    /// Whether a request may be sent more than once (`--retry-budget 0`).
    fn retries(&self) -> bool {
        self.policy.retries > 0 && !self.policy.budget.is_zero()
    }

    fn sign(
        &self,
        request: &OutboundRequest<'_>,
        now: Timestamp,
    ) -> Result<Option<HeaderValue>, SendError> {
        let Some(signer) = request.signer else {
            return Ok(None);
        };
        let nonce = self.nonces.next();
        let uri = &request.target.uri;
        Ok(Some(signer.authorization(request.method.as_str(), uri, now, nonce.as_str())?))
    }

    /// Sends a request on `connection` once.
    async fn exchange(
        &self,
        request: &OutboundRequest<'_>,
        authorization: Option<HeaderValue>,
        body: &RequestBody,
        mut connection: Connection,
        deadline: Option<Instant>,
    ) -> Result<UpstreamResponse, SendError> {
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
            // A body that is gone cannot be sent again: a long upload is no failure.
            if !body.is_kept() {
                std::future::pending().await
            }
        };
        // hyper does not tell of 100 (Continue) over HTTP/2.
        let waits = matches!(connection, Connection::Http1(_)) && body.awaits_continue();
        let continued = waits.then(Arc::<Notify>::default);
        let (attempt_body, attempt) = body.attempt(continued.clone());
        let sending = async {
            match &mut connection {
                Connection::Http1(connection) => {
                    let via = connection.via();
                    let mut outgoing = request.for_http1(authorization, attempt_body, body, via);
                    if let Some(continued) = continued {
                        hyper::ext::on_informational(&mut outgoing, move |response| {
                            if response.status() == StatusCode::CONTINUE {
                                continued.notify_one();
                            }
                        });
                    }
                    connection.send(outgoing).await
                }
                Connection::Http2(stream) => {
                    stream.send(request.for_http2(authorization, attempt_body)).await
                }
            }
        };
        let response: ::http::Response<Incoming> = tokio::select! {
            biased;
            response = sending => response?,
            () = late => return Err(SendError::Budget(self.policy.budget)),
        };
        let (head, incoming) = response.into_parts();
        let origin = Arc::clone(&request.target.origin);
        let exchange = Exchange { connection, attempt, origin, pool: Rc::clone(&self.pool) };
        Ok(UpstreamResponse { head, body: ResponseBody::new(incoming, exchange) })
    }
}

impl OutboundRequest<'_> {
    fn for_http1(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
        body: &RequestBody,
        via: Option<&Via>,
    ) -> Request<AttemptBody> {
        let mut request = self.outgoing(authorization, attempt);
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.origin.host_field().clone());
        if body.length().is_none() {
            // hyper assumes that a GET without a length has no body.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if self.accepts_trailers {
            // RFC 9110 section 10.1.4: named, so that nobody forwards it unread.
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
        match via {
            None => *request.uri_mut() = origin_form(&self.target.uri),
            Some(Via { authorization }) => {
                if let Some(authorization) = authorization {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
                }
                *request.uri_mut() = self.target.uri.clone();
            }
        }
        request
    }

    fn for_http2(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
    ) -> Request<AttemptBody> {
        let mut request = self.outgoing(authorization, attempt);
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.target.uri.clone();
        if self.accepts_trailers {
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        request
    }

    fn outgoing(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
    ) -> Request<AttemptBody> {
        let mut request = Request::new(attempt);
        *request.method_mut() = self.method.clone();
        let mut headers = self.headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        *request.headers_mut() = headers;
        request
    }
}

/// Path and query alone, as they go over the wire.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}

impl Responded {
    fn is_unauthorized(&self) -> bool {
        self.response.head.status == StatusCode::UNAUTHORIZED
    }
}
