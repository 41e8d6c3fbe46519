//! Requests to upstreams: connect, sign, send, try again, stream.

mod body;
mod connect;
mod error;
mod exchange;
mod http2;
mod link;
mod origin;
mod pool;
mod proxies;
mod resolve;
mod tls;

pub use body::{Body, ReplayBudget, Taken};
pub use error::SendError;
pub use exchange::{Caller, DeliveryError, Exchanged};
pub use origin::{Origin, Target};
pub use proxies::ProxyVariable;

use crate::clock::{self, Lesson, Nonces, ServiceClock};
use crate::config::Limits;
use crate::http1::{Answer, Fields, Wire};
use crate::metrics::{Metrics, Retry};
use connect::Connector;
use exchange::Sending;
use http::{Method, StatusCode};
use link::{Head, Link};
use pool::{Pool, Reuse};
use std::sync::Arc;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{Decision, Form, HostPolicy, Outcome, Repeatable, RetryPolicy};
use tokio::time::{Instant, timeout_at};

pub(crate) use connect::KEEPALIVE;

/// Everything that requests to upstreams share.
#[derive(Debug)]
pub struct Upstream {
    pool: Arc<Pool>,
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
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where to.
    pub target: &'a Target,
    /// All header fields but those that say where to, from whom, and how the body is framed.
    pub fields: &'a Fields,
    /// Whether the body is kept back until the upstream asks for it.
    pub expects_continue: bool,
    /// Whether the caller can make use of trailers.
    pub accepts_trailers: bool,
    /// Who signs; `None`: the request goes unsigned.
    pub signer: Option<&'a Signer>,
}

/// An attempt that brought an answer.
struct Answered {
    answer: Answer,
    link: Link,
    sending: Sending,
    /// The time that its signature told, if it had one.
    signed_at: Timestamp,
}

impl Upstream {
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
            pool: Arc::new(Pool::new(connector, limits.upstream_idle_timeout)),
            policy: limits.retries,
            nonces: Nonces::new()?,
            clock: ServiceClock::default(),
            metrics,
        })
    }

    /// Sends a request with the body that comes from `caller`, and returns the head of the answer,
    /// its body to follow. Tries again as the retry policy says, and counts in `attempts`; when that
    /// gives up, an answer that came is returned as it is.
    ///
    /// # Errors
    ///
    /// No attempt brought an answer, or the caller went away.
    pub async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
        body: &mut Body,
        caller: &mut Caller<'_>,
        attempts: &mut u32,
    ) -> Result<Exchanged, SendError> {
        let Outgoing { method, target, .. } = outgoing;
        let mut first_failure = None;
        let mut last_answer = None;
        let mut learned = None;
        *attempts = 0;
        loop {
            *attempts += 1;
            let attempt = *attempts;
            let deadline = first_failure.map(|first: Instant| first + self.policy.budget);
            let result = self.attempt(outgoing, body, caller, deadline).await;
            let outcome = match &result {
                Ok(answered) => Outcome::Answered(
                    StatusCode::from_u16(answered.answer.status).unwrap_or_default(),
                ),
                Err(SendError::Gone) => return Err(SendError::Gone),
                Err(error) => error.outcome(),
            };
            match (&result, learned) {
                (Ok(answered), None) if answered.answer.status == 401 && body.is_kept() => {
                    learned = self.learn_the_time(answered, outgoing);
                    if learned.is_some() {
                        continue;
                    }
                }
                // What is refused with the right time, too, is refused for another reason.
                (Ok(Answered { answer, .. }), Some(lesson)) if answer.status == 401 => {
                    self.clock.forget(lesson);
                }
                _ => {}
            }
            let repeatable = Repeatable::new(target.form, method, body.is_kept());
            let since = first_failure.map(|first| first.elapsed()).unwrap_or_default();
            match self.policy.decide(attempt, since, outcome, repeatable, self.nonces.jitter()) {
                Decision::RetryAfter(delay) if body.is_kept() => {
                    tracing::debug!(attempt, ?outcome, ?delay, "trying again");
                    self.metrics.retry(Retry::after(outcome));
                    first_failure.get_or_insert_with(Instant::now);
                    last_answer = result.ok().or(last_answer);
                    caller.while_here(tokio::time::sleep(delay)).await?;
                }
                Decision::RetryAfter(_) | Decision::Deliver => {
                    body.stop_keeping();
                    let taken = body.taken();
                    let (answered, is_last) = match (result, last_answer) {
                        (Ok(answered), _) => (answered, true),
                        (Err(_), Some(answered)) => (answered, false),
                        (Err(error), None) => return Err(error),
                    };
                    let Answered { answer, link, mut sending, .. } = answered;
                    // A body that nobody has asked for yet will never be asked for; one that was
                    // sent again has gone elsewhere.
                    let reusable = is_last && taken != Taken::Nothing;
                    if !reusable {
                        sending.stop();
                    }
                    return Ok(Exchanged {
                        answer,
                        taken,
                        link,
                        sending,
                        accepts_trailers: outgoing.accepts_trailers,
                        reusable,
                    });
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

    /// The proxy on the way to `origin`, without its login.
    pub fn proxy_on_the_way_to(&self, origin: &Origin) -> Option<impl std::fmt::Display> {
        self.pool.proxy_on_the_way_to(origin)
    }

    /// From the answer of a service that may have refused a request for the time that its signature
    /// tells.
    fn learn_the_time(&self, refused: &Answered, outgoing: &Outgoing<'_>) -> Option<Lesson> {
        if outgoing.target.form != Form::Service || outgoing.signer.is_none() {
            return None;
        }
        let date = clock::date_of(&refused.answer.fields)?;
        let lesson = self.clock.learn(refused.signed_at, date)?;
        if lesson.is_new() {
            let date = self.clock.now().to_rfc3339();
            tracing::warn!(
                "this machine's clock is wrong: for the services it is {date}; signing so"
            );
        }
        Some(lesson)
    }

    /// Streams the rest of an answer to `client`, to whom its head was begun, and what is left of the
    /// request's body the other way.
    ///
    /// # Errors
    ///
    /// The client went away, or the upstream cuts the answer short.
    pub async fn deliver(
        &self,
        mut exchanged: Exchanged,
        client: &mut Wire,
        body: &mut Body,
    ) -> Result<(), DeliveryError> {
        exchanged.stream(client, body).await?;
        if exchanged.is_reusable() {
            self.pool.put(exchanged.link);
        }
        Ok(())
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing<'_>,
        body: &mut Body,
        caller: &mut Caller<'_>,
        deadline: Option<Instant>,
    ) -> Result<Answered, SendError> {
        let Outgoing { method, target, .. } = outgoing;
        let late = SendError::Budget(self.policy.budget);
        // Whether another attempt could take this one's place decides what connection is good
        // enough; that more of the body may come than fits counts as no.
        let repeatable = Repeatable::new(target.form, method, body.will_fit());
        let reuse = if repeatable == Repeatable::Yes { Reuse::Yes } else { Reuse::Http2 };
        let sign = |now| {
            let sign = |signer: &Signer| {
                let (nonce, url) = (self.nonces.next(), target.url());
                signer.authorization_parts(method.as_str(), &url, now, nonce.as_str())
            };
            outgoing.signer.map(sign).transpose()
        };
        let mut kept = self.pool.take(&target.origin, reuse);
        loop {
            // Before there is a connection: what cannot be signed needs none.
            let mut signed_at = self.now(target.form);
            let mut authorization = sign(signed_at)?;
            let mut link = match kept.take() {
                Some(link) => link,
                None => {
                    // In a box: it is rare, and large enough to make every waiting request so.
                    let connecting = Box::pin(self.pool.connect(&target.origin));
                    let link = match deadline {
                        None => caller.while_here(connecting).await?,
                        Some(deadline) => {
                            let connecting = timeout_at(deadline, connecting);
                            let connected = caller.while_here(connecting).await?;
                            connected.map_err(|_| late.clone())?
                        }
                    }?;
                    // That may have taken a while, and a signature is good for the time it tells.
                    signed_at = self.now(target.form);
                    authorization = sign(signed_at)?;
                    link
                }
            };
            link.begin(&Head {
                method,
                resource: &target.resource,
                fields: outgoing.fields,
                authorization: authorization.as_deref(),
                accepts_trailers: outgoing.accepts_trailers,
                framing: body.framing(),
            })?;
            let mut sending = Sending::new(outgoing.expects_continue && body.is_untouched());
            let bodiless = *method == Method::HEAD;
            let answer =
                exchange::answer(&mut link, &mut sending, body, caller, bodiless, deadline);
            match answer.await {
                Ok(None) => return Err(late),
                Ok(Some(answer)) => return Ok(Answered { answer, link, sending, signed_at }),
                // The upstream closed it while it was idle.
                Err(SendError::Broken(_)) if link.was_stale() && reuse == Reuse::Yes => {}
                Err(SendError::Broken(reason)) if link.is_unused() => {
                    return Err(SendError::Connect(reason));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
