//! The upstreams of the storm test: they carry out the plans under changing conditions.

use crate::upstream_faults::plan::{Destination, Fault, Plan};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use support::hawk::Claim;
use support::{Request, ScriptedResponse};

/// The state that all upstreams share.
#[derive(Debug)]
pub(crate) struct Services {
    conditions: Mutex<Conditions>,
    attempts: Mutex<HashMap<u64, Vec<Attempt>>>,
}

#[derive(Debug)]
struct Conditions {
    /// All upstreams respond 503.
    burst: bool,
    /// The seconds by which the services' clock is ahead of the proxy's.
    ahead: i64,
    /// When that clock was set.
    stepped: Instant,
}

/// A request that was received, and its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) outcome: AttemptOutcome,
    pub(crate) client_id: String,
    /// The time since the services' clock was set.
    pub(crate) since_step: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    Served,
    Failed(Fault),
    /// 401, as the time of the signature differs from the services' clock.
    Stale,
    Stalled,
}

/// The clock skew in seconds that Taskcluster's services tolerate.
const MAX_SKEW: u64 = 15 * 60;

impl Services {
    pub(crate) fn new() -> Arc<Self> {
        let conditions = Conditions { burst: false, ahead: 0, stepped: Instant::now() };
        Arc::new(Self { conditions: Mutex::new(conditions), attempts: Mutex::default() })
    }

    pub(crate) fn set_burst(&self, burst: bool) {
        self.conditions.lock().unwrap().burst = burst;
    }

    /// Sets the clock.
    pub(crate) fn set_ahead(&self, ahead: i64) {
        let mut conditions = self.conditions.lock().unwrap();
        (conditions.ahead, conditions.stepped) = (ahead, Instant::now());
    }

    /// The attempts of this request so far.
    pub(crate) fn attempts(&self, id: u64) -> Vec<Attempt> {
        self.attempts.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }

    /// All attempts so far.
    pub(crate) fn all_attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().values().flatten().cloned().collect()
    }

    /// The response to a request, whose signature is verified at the end of the test.
    pub(crate) fn response(&self, request: &Request) -> ScriptedResponse {
        let id = request.target().rsplit('/').next().and_then(|id| id.parse().ok());
        let plan = Plan::of(id.expect("the target ends in a number"));
        let claim = Claim::of(request);
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now().saturating_add_signed(conditions.ahead);
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = attempts.entry(plan.id).or_default();
        let planned = |attempt: &&Attempt| matches!(attempt.outcome, AttemptOutcome::Failed(_));
        let failed = attempts.iter().filter(planned).count();
        let outcome = match plan.faults.get(failed) {
            _ if plan.aborts => AttemptOutcome::Stalled,
            _ if plan.destination == Destination::Service && claim.ts.abs_diff(now) > MAX_SKEW => {
                AttemptOutcome::Stale
            }
            _ if conditions.burst => AttemptOutcome::Failed(Fault::Status(503)),
            Some(fault) => AttemptOutcome::Failed(*fault),
            None => AttemptOutcome::Served,
        };
        let since_step = conditions.stepped.elapsed();
        attempts.push(Attempt { outcome, client_id: claim.id, since_step });
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        let status = |status, body| ScriptedResponse::new(status, &[("Date", date.as_str())], body);
        let bytes = plan.response(&format!("Date: {date}\r\n"));
        match outcome {
            AttemptOutcome::Served => ScriptedResponse::bytes(bytes),
            AttemptOutcome::Stalled => ScriptedResponse::nothing().then_stall(),
            AttemptOutcome::Stale => status(401, "stale"),
            AttemptOutcome::Failed(Fault::Status(code)) => status(code, "busy"),
            AttemptOutcome::Failed(Fault::Reset(at)) => {
                ScriptedResponse::bytes(&bytes[..at]).then_reset()
            }
            AttemptOutcome::Failed(Fault::Close(at)) => {
                ScriptedResponse::bytes(&bytes[..at]).then_close()
            }
        }
    }
}

/// The body of `PUT /credentials` with set number `number` of the credentials. Odd ones are temporary.
pub(crate) fn credentials(number: usize) -> String {
    let certificate =
        (number % 2 == 1).then(|| support::certificate(&[&scope(number)]).to_string());
    json!({
        "clientId": format!("client-{number}"),
        "accessToken": format!("token-{number}"),
        "certificate": certificate,
    })
    .to_string()
}

/// The claim of a request; fails unless it is signed with one set of credentials.
pub(crate) fn verify(request: &Request) -> Claim {
    let claim = if request.target().starts_with("/api/") {
        Claim::of(request)
    } else {
        Claim::of_tls(request)
    };
    let number: usize = claim.id["client-".len()..].parse().expect("clients have numbers");
    let claim = claim.assert_signed_with(&format!("token-{number}"));
    let certificate = claim.ext()["certificate"].clone();
    match number % 2 {
        0 => assert!(certificate.is_null(), "{certificate}"),
        _ => assert_eq!(certificate["scopes"], json!([scope(number)])),
    }
    claim
}

fn scope(number: usize) -> String {
    format!("only:{number}")
}

/// The time in seconds since 1970.
pub(crate) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.expect("it is after 1970").as_secs()
}
