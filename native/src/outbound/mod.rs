//! Requests to upstreams: connecting, signing, sending, retrying, and streaming the response.

mod batched_writes;
pub mod call;
mod client_connection;
mod config;
mod connect;
mod connect_error;
mod corrections;
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
pub use forward_proxy::InvalidProxyVariable;
pub use origin::{Origin, Target};
pub use replay::{ReplayBudget, RequestBody};
pub use request::OutboundRequest;
pub use response_body::{ResponseBody, ResponseBodyError};
pub use upstreams::{Upstreams, UpstreamsError};

use crate::os::clock::{self, Nonces};
use crate::telemetry::metrics::{Metrics, Retry};
use ::http::{HeaderValue, StatusCode, response};
use connect::Connector;
use corrections::Corrections;
use hyper::body::Incoming;
use pool::{Connection, Pool, Reuse};
use response_body::Exchange;
use service_clock::ServiceClock;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::SignError;
use taskcluster_proxy_core::hawk::UrlParts;
use taskcluster_proxy_core::proxy::{Decision, Form, HostPolicy, Outcome, Replayable, RetryPolicy};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(crate) use happy_eyeballs::KEEPALIVE;

/// Sends requests to upstreams.
#[derive(Debug)]
pub struct Outbound {
    pool: Rc<Pool>,
    policy: RetryPolicy,
    nonces: Nonces,
    clock: ServiceClock,
    metrics: Arc<Metrics>,
}

/// Why [`Outbound`] cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An environment variable does not contain the URL of a forward proxy.
    #[error(transparent)]
    Proxy(#[from] InvalidProxyVariable),
    /// Nonces cannot be generated.
    #[error("the system provides no random numbers: {0}")]
    Randomness(#[from] std::io::Error),
}

/// An upstream's response.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status and header section.
    pub head: response::Parts,
    /// The body, as a stream of frames.
    pub body: ResponseBody,
    /// The time in the request's signature, if the request was signed.
    pub signed_at: Timestamp,
}

/// The maximum number of immediate repetitions of a request that hyper did not send, or the upstream did not
/// process, each on another connection. After that the attempt has failed, as with an upstream that refuses
/// connections.
const MAX_UNSENT: u32 = 5;

/// How the request of an attempt is sent, and how often that was done.
struct Sending<'a> {
    /// Whether it is signed with this machine's time instead of the services'.
    machine_time: bool,
    /// The number of immediate repetitions.
    unsent: &'a mut u32,
    /// The number of times that the request was sent.
    attempts: &'a Cell<u32>,
}

impl Outbound {
    /// Makes no connection and reads no file before the first request. Requests are sent only to the
    /// hosts and addresses that `hosts` allows; retries are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// An environment variable does not contain the URL of a forward proxy, or the system provides no
    /// random numbers.
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

    /// Sends a request with `body`, and returns the response as soon as its header section is received.
    /// The request is retried according to the policy, and the attempts are counted in `attempts`. If no
    /// attempt succeeds, the last response is returned unchanged.
    ///
    /// # Errors
    ///
    /// No attempt received a response, or the client's body could not be read.
    pub async fn send(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        attempts: &Cell<u32>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let OutboundRequest { method, target, .. } = request;
        let mut first_failure = None;
        let mut last_response = None;
        let mut corrections = Corrections::default();
        let (mut attempt, mut unsent) = (0, 0);
        attempts.set(0);
        loop {
            attempt += 1;
            let deadline = first_failure.map(|first: Instant| first + self.policy.budget);
            let machine_time = corrections.use_machine_time();
            let sending = Sending { machine_time, unsent: &mut unsent, attempts };
            let mut result = self.attempt(request, body, deadline, sending).await;
            if let Ok(response) = &mut result
                && self.correct(&mut corrections, request, response, body).await
            {
                body.suspend();
                continue;
            }
            let outcome = match &result {
                Ok(response) => Outcome::Responded(response.head.status),
                Err(error) => error.outcome(),
            };
            let replayable = Replayable::new(target.form, method, body.is_buffered());
            let since = first_failure.map(|first| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, replayable, self.nonces.jitter()) {
                Decision::RetryAfter(delay) if body.is_buffered() => {
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
                    body.stop_buffering();
                    return match (result, last_response) {
                        (Ok(response), _) | (Err(_), Some(response)) => Ok(response),
                        (Err(error), None) => Err(error),
                    };
                }
            }
        }
    }

    /// The time for signatures of requests in this form. Only requests to the deployment's services use
    /// the services' time.
    pub fn now(&self, form: Form) -> Timestamp {
        match form {
            Form::Service => self.clock.now(),
            Form::Host => clock::now(),
        }
    }

    /// Makes [`now`](Self::now) return the services' time even before a request to a service: for
    /// signatures that the proxy does not send itself. `ask` is a call to a service, which is made if the
    /// services' time is not known yet.
    pub async fn learn_time(&self, ask: impl Future<Output = ()>) {
        self.clock.ask_once(ask).await;
    }

    /// The route to `origin`: the forward proxy, without its login, or the reason why there is none.
    pub fn route(&self, origin: &Origin) -> impl std::fmt::Display {
        self.pool.route(origin)
    }

    async fn attempt(
        &self,
        request: &OutboundRequest<'_>,
        body: &RequestBody,
        deadline: Option<Instant>,
        sending: Sending<'_>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let Sending { machine_time, unsent, attempts } = sending;
        let OutboundRequest { method, target, .. } = request;
        // A request that can be sent again, because the replay buffer will hold its body, may reuse any
        // connection.
        let replayable = Replayable::new(target.form, method, body.will_fit());
        let reuse =
            if replayable == Replayable::Yes && self.retries() { Reuse::Any } else { Reuse::Http2 };
        loop {
            attempts.set(attempts.get() + 1);
            // The request is signed first, because one that cannot be signed needs no connection.
            let signed_at = if machine_time { clock::now() } else { self.now(target.form) };
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
                Err(UpstreamError::Unsent(_)) if *unsent < MAX_UNSENT && body.is_buffered() => {
                    *unsent += 1
                }
                Err(UpstreamError::GoneAway(_))
                    if *unsent < MAX_UNSENT && self.retries() && body.is_buffered() =>
                {
                    *unsent += 1;
                }
                Err(UpstreamError::ClosedWhileIdle(_)) if self.retries() && body.is_buffered() => {}
                Err(error) => return Err(body.failure().map_or(error, UpstreamError::Client)),
            }
        }
    }

    /// Whether requests may be retried (not with `--retry-budget 0`).
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
            // If the body is not in the replay buffer, there can be no further attempt, and a long upload
            // must not be aborted.
            if !body.is_buffered() {
                std::future::pending().await
            }
        };
        // hyper does not report 100 (Continue) over HTTP/2.
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
