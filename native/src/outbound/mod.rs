//! Requests to upstreams: connect, sign, send, retry, and the response as it comes.

mod batched_writes;
pub mod call;
mod client_connection;
mod config;
mod connect;
mod connect_error;
mod error;
mod forward_proxy;
mod happy_eyeballs;
mod http1;
mod http2;
mod origin;
mod pool;
mod replay;
mod request;
mod resolve;
mod response_body;
mod service_clock;
mod stream;
mod tls;
mod upstreams;

pub use client_connection::ClientConnection;
pub use config::Config;
pub use error::UpstreamError;
pub use forward_proxy::ProxyVariable;
pub use origin::{Origin, Target};
pub use replay::{ReplayBudget, RequestBody};
pub use request::OutboundRequest;
pub use response_body::{ResponseBody, ResponseBodyError};
pub use upstreams::{Upstreams, UpstreamsError};

use crate::os::clock::{self, Nonces};
use crate::telemetry::metrics::{Metrics, Retry};
use ::http::header::AGE;
use ::http::{HeaderValue, StatusCode, response};
use connect::Connector;
use hyper::body::Incoming;
use pool::{Connection, Pool, Reuse};
use response_body::Exchange;
use service_clock::{ServiceClock, SkewCorrection};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::hawk::UrlParts;
use taskcluster_proxy_core::proxy::{Decision, Form, HostPolicy, Outcome, Replayable, RetryPolicy};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub(crate) use happy_eyeballs::KEEPALIVE;

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

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Status and header section.
    pub head: response::Parts,
    /// The body, as it comes.
    pub body: ResponseBody,
    /// The time that the request's signature told, if there was one.
    pub signed_at: Timestamp,
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
        config: &Config,
        hosts: Arc<HostPolicy>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let connector = Connector::new(config.connect_timeout, hosts)?;
        Ok(Self {
            pool: Pool::new(connector, config.idle_timeout, config.max_connections),
            policy: config.retries,
            nonces: Nonces::new()?,
            clock: ServiceClock::default(),
            metrics,
        })
    }

    /// Sends a request with `body`, and returns the response, its body to follow. Retries as the policy
    /// says, and counts in `attempts`; when that gives up, the last response is returned as it is.
    ///
    /// # Errors
    ///
    /// No attempt brought a response, or the client's body failed.
    pub async fn send(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        attempts: &Cell<u32>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let OutboundRequest { method, target, .. } = request;
        let mut first_failure = None;
        let mut last_response = None;
        let mut corrected = None;
        let mut lengthened = false;
        attempts.set(0);
        loop {
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            let deadline = first_failure.map(|first: Instant| first + self.policy.budget);
            let result = self.attempt(request, body, deadline).await;
            if let Ok(response) = &result
                && target.form == Form::Service
                && !self.clock.is_known()
            {
                self.observe_time(response);
            }
            let outcome = match &result {
                Ok(response) => Outcome::Responded(response.head.status),
                Err(error) => error.outcome(),
            };
            match (&result, corrected) {
                (Ok(response), None) if response.is_unauthorized() && body.is_kept() => {
                    corrected = self.correct_skew(response, request);
                    if corrected.is_some() && self.retries() {
                        body.suspend();
                        continue;
                    }
                }
                // What is refused with the right time, too, is refused for another reason.
                (Ok(response), Some(correction)) if response.is_unauthorized() => {
                    self.clock.undo(correction);
                }
                (Ok(response), _) if response.wants_length() && !lengthened => {
                    lengthened = self.retries() && self.find_length(body).await;
                    if lengthened {
                        body.suspend();
                        continue;
                    }
                }
                (Ok(response), Some(correction)) if !response.head.status.is_server_error() => {
                    self.warn_of_skew(correction);
                    corrected = None;
                }
                _ => {}
            }
            let replayable = Replayable::new(target.form, method, body.is_kept());
            let since = first_failure.map(|first| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, replayable, self.nonces.jitter()) {
                Decision::RetryAfter(delay) if body.is_kept() => {
                    let reason = Retry::after(outcome);
                    tracing::debug!(
                        attempt,
                        reason = reason.as_str(),
                        status = result.as_ref().ok().map(|it| it.head.status.as_u16()),
                        error = result.as_ref().err().map(tracing::field::display),
                        delay_ms = delay.as_secs_f64() * 1000.0,
                        "retrying"
                    );
                    self.metrics.retry(reason);
                    first_failure.get_or_insert_with(Instant::now);
                    body.suspend();
                    let next = Instant::now() + delay;
                    if let Ok(mut response) = result
                        && response.body.receive(next).await
                    {
                        last_response = Some(response);
                    }
                    sleep_until(next).await;
                }
                Decision::RetryAfter(_) | Decision::NoRetry => {
                    body.stop_keeping();
                    return match (result, last_response) {
                        (Ok(response), _) | (Err(_), Some(response)) => Ok(response),
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

    /// Sees to it that [`now`](Self::now) is the services' time, for what reaches no service before it is
    /// used. `ask`: a call to one, made if no response has told the time yet.
    pub async fn learn_time(&self, ask: impl Future<Output = ()>) {
        self.clock.ask_once(ask).await;
    }

    /// Takes over the time from the first response of a service. A 401 is for
    /// [`correct_skew`](Self::correct_skew), which can find out that it was not that; the date of a
    /// response that comes from a cache (RFC 9111 section 5.1) is that of another time.
    fn observe_time(&self, response: &UpstreamResponse) {
        let headers = &response.head.headers;
        if response.is_unauthorized() || headers.contains_key(AGE) {
            return;
        }
        if clock::date_of(headers).is_some_and(|date| self.clock.observe(date)) {
            self.clock.warn_of_correction();
        }
    }

    /// How `origin` is reached: through which forward proxy, without its login, or why through none.
    pub fn route(&self, origin: &Origin) -> impl std::fmt::Display {
        self.pool.route(origin)
    }

    /// Takes over the time from the response of a service that may have refused a request for the time
    /// that its signature tells.
    fn correct_skew(
        &self,
        refused: &UpstreamResponse,
        request: &OutboundRequest<'_>,
    ) -> Option<SkewCorrection> {
        if request.target.form != Form::Service || request.signer.is_none() {
            return None;
        }
        let date = clock::date_of(&refused.head.headers)?;
        self.clock.correct(refused.signed_at, date)
    }

    /// Not before a request that was signed with the corrected time was accepted: otherwise the diagnosis
    /// of the response says why it was not.
    fn warn_of_skew(&self, correction: SkewCorrection) {
        if correction.is_new() {
            self.clock.warn_of_correction();
        }
    }

    /// Whether the length of a body that the client sends in chunks is known after all: all of it is in the
    /// replay buffer.
    async fn find_length(&self, body: &RequestBody) -> bool {
        if body.length().is_some() || !body.is_kept() {
            return false;
        }
        // The attempt that was refused reads no more of it.
        body.suspend();
        timeout(self.policy.budget, body.read_to_end()).await.unwrap_or(false)
    }

    async fn attempt(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        deadline: Option<Instant>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let OutboundRequest { method, target, .. } = request;
        // Whether another attempt could take this one's place decides which connection will do; that
        // more of the body may come than fits counts as no.
        let replayable = Replayable::new(target.form, method, body.will_fit());
        let reuse =
            if replayable == Replayable::Yes && self.retries() { Reuse::Any } else { Reuse::Http2 };
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
                    .unwrap_or(Err(UpstreamError::Budget(self.policy.budget))),
            }?;
            match self.exchange(request, authorization, body, connection, deadline).await {
                Ok((head, body)) => return Ok(UpstreamResponse { head, body, signed_at }),
                Err(UpstreamError::Unsent(_)) if unsent < MAX_UNSENT && body.is_kept() => {
                    unsent += 1
                }
                Err(UpstreamError::GoneAway(_))
                    if unsent < MAX_UNSENT && self.retries() && body.is_kept() =>
                {
                    unsent += 1;
                }
                Err(UpstreamError::ClosedWhileIdle(_)) if self.retries() && body.is_kept() => {}
                Err(error) => return Err(body.failure().map_or(error, UpstreamError::Client)),
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
    ) -> Result<Option<HeaderValue>, UpstreamError> {
        let Some(signer) = request.signer else {
            return Ok(None);
        };
        let nonce = self.nonces.next();
        let url = UrlParts::try_from(&request.target.uri).map_err(SignError::Url)?;
        Ok(Some(signer.authorization(request.method, &url, now, nonce.as_str())?))
    }

    /// Sends a request on `connection` once.
    async fn exchange(
        &self,
        request: &OutboundRequest<'_>,
        authorization: Option<HeaderValue>,
        body: &RequestBody,
        mut connection: Connection,
        deadline: Option<Instant>,
    ) -> Result<(response::Parts, ResponseBody), UpstreamError> {
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
                    let proxied = connection.proxied();
                    let mut outgoing =
                        request.for_http1(authorization, attempt_body, body, proxied);
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
            () = late => return Err(UpstreamError::Budget(self.policy.budget)),
        };
        let (head, incoming) = response.into_parts();
        let origin = Arc::clone(&request.target.origin);
        let exchange = Exchange { connection, attempt, origin, pool: Rc::clone(&self.pool) };
        Ok((head, ResponseBody::new(incoming, exchange)))
    }
}

impl UpstreamResponse {
    /// Whether the upstream does not take a body without a Content-Length.
    fn wants_length(&self) -> bool {
        self.head.status == StatusCode::LENGTH_REQUIRED
    }

    fn is_unauthorized(&self) -> bool {
        self.head.status == StatusCode::UNAUTHORIZED
    }
}
