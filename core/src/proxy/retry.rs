//! The retry policy: whether and when a request is retried.

use super::Form;
use http::{Method, StatusCode};
use std::time::Duration;

/// How often and after which delay a request is retried.
///
/// The default has the values of Taskcluster's official clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The maximum number of retries. More retries put more load on services that are failing.
    pub retries: u32,
    /// The delay before the first retry; it doubles with each further one. It is varied randomly by up
    /// to a quarter, so that tasks that failed at the same time do not retry at the same time.
    pub base: Duration,
    /// The time after the first failure within which retries may begin. With a long one a task waits
    /// for a response although its own client would have retried by then.
    pub budget: Duration,
}

/// The maximum delay between two attempts, before jitter.
const MAX_DELAY: Duration = Duration::from_secs(30);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 5, base: Duration::from_millis(100), budget: Duration::from_secs(30) }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a response.
    Responded(StatusCode),
    /// Without a response, before any part of the request was sent or processed.
    NothingSent,
    /// Without a response, after some or all of the request was sent.
    NoResponse,
    /// Without a response, for a reason that a retry does not change.
    Permanent,
}

/// Whether a request can be sent again after some of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayable {
    /// The replay buffer has the body received so far, and the method allows it.
    Yes,
    /// The replay buffer does not have the body, or the request may take effect twice.
    No,
}

impl Replayable {
    /// Determines whether a request is replayable. `body_buffered` says whether the replay buffer has
    /// the body received so far. Taskcluster's APIs are designed to be idempotent; for other hosts the
    /// method decides (RFC 9110 section 9.2.2).
    pub fn new(form: Form, method: &Method, body_buffered: bool) -> Self {
        if body_buffered && (form == Form::Service || method.is_idempotent()) {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do not retry: respond with the result of the attempt.
    NoRetry,
    /// Retry after this delay.
    RetryAfter(Duration),
}

impl RetryPolicy {
    /// Decides whether to retry after an attempt that ended with `outcome`. `attempt` is its number
    /// (the first is 1), `since` the time since the first failure, `jitter` a random number from 0 to 1.
    ///
    /// ```
    /// use http::StatusCode;
    /// use std::time::Duration;
    /// use taskcluster_proxy_core::proxy::{Decision, Outcome, Replayable, RetryPolicy};
    ///
    /// let outcome = Outcome::Responded(StatusCode::SERVICE_UNAVAILABLE);
    /// assert_eq!(
    ///     RetryPolicy::default().decide(2, Duration::from_millis(150), outcome, Replayable::Yes, 0.5),
    ///     Decision::RetryAfter(Duration::from_millis(200)),
    /// );
    /// ```
    pub fn decide(
        &self,
        attempt: u32,
        since: Duration,
        outcome: Outcome,
        replayable: Replayable,
        jitter: f32,
    ) -> Decision {
        let worthwhile = match outcome {
            Outcome::Responded(status) => status.is_server_error() && replayable == Replayable::Yes,
            Outcome::NoResponse => replayable == Replayable::Yes,
            Outcome::NothingSent => true,
            Outcome::Permanent => false,
        };
        if !worthwhile || attempt > self.retries {
            return Decision::NoRetry;
        }
        let delay = self.delay(attempt, jitter);
        if since.saturating_add(delay) < self.budget {
            Decision::RetryAfter(delay)
        } else {
            Decision::NoRetry
        }
    }

    fn delay(&self, attempt: u32, jitter: f32) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let varied = 0.75 + 0.5 * f64::from(jitter.clamp(0.0, 1.0));
        self.base.saturating_mul(doubled).min(MAX_DELAY).mul_f64(varied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy {
        retries: 5,
        base: Duration::from_millis(100),
        budget: Duration::from_secs(30),
    };

    fn retries(outcome: Outcome, replayable: Replayable) -> bool {
        POLICY.decide(1, Duration::ZERO, outcome, replayable, 0.0) != Decision::NoRetry
    }

    #[test]
    fn which_outcomes_are_retried() {
        use Outcome::*;
        use Replayable::*;
        for (outcome, replayable, expected) in [
            (Responded(StatusCode::OK), Yes, false),
            (Responded(StatusCode::UNAUTHORIZED), Yes, false),
            (Responded(StatusCode::TOO_MANY_REQUESTS), Yes, false),
            (Responded(StatusCode::INTERNAL_SERVER_ERROR), Yes, true),
            (Responded(StatusCode::GATEWAY_TIMEOUT), Yes, true),
            (Responded(StatusCode::INTERNAL_SERVER_ERROR), No, false),
            (NoResponse, Yes, true),
            (NoResponse, No, false),
            (NothingSent, No, true),
            (Permanent, Yes, false),
        ] {
            assert_eq!(retries(outcome, replayable), expected, "{outcome:?} {replayable:?}");
        }
    }

    #[test]
    fn which_requests_are_replayable() {
        for (form, method, body_buffered, expected) in [
            (Form::Service, Method::POST, true, Replayable::Yes),
            (Form::Service, Method::GET, false, Replayable::No),
            (Form::Host, Method::POST, true, Replayable::No),
            (Form::Host, Method::PATCH, true, Replayable::No),
            (Form::Host, Method::PUT, true, Replayable::Yes),
            (Form::Host, Method::GET, true, Replayable::Yes),
            (Form::Host, Method::DELETE, false, Replayable::No),
        ] {
            assert_eq!(
                Replayable::new(form, &method, body_buffered),
                expected,
                "{form:?} {method}"
            );
        }
    }

    proptest! {
        /// Holds for any policy and any duration of attempts.
        #[test]
        fn a_series_of_attempts_is_bounded(
            retries in 0u32..20,
            base in 0u64..10_000,
            budget in 0u64..100_000,
            attempts in prop::collection::vec((0u64..5_000, 0f32..1.0, any::<bool>()), 64),
        ) {
            let [base, budget] = [base, budget].map(Duration::from_millis);
            let policy = RetryPolicy { retries, base, budget };
            // The time since the first failure: the duration of the first attempt does not count.
            let mut since = Duration::ZERO;
            let mut count = 0;
            for (took, jitter, responded) in attempts {
                count += 1;
                since += if count == 1 { Duration::ZERO } else { Duration::from_millis(took) };
                let busy = Outcome::Responded(StatusCode::SERVICE_UNAVAILABLE);
                let outcome = if responded { busy } else { Outcome::NoResponse };
                match policy.decide(count, since, outcome, Replayable::Yes, jitter) {
                    Decision::NoRetry => break,
                    Decision::RetryAfter(delay) => since += delay,
                }
                // No retry begins after the budget.
                prop_assert!(since < budget);
            }
            prop_assert!(count <= 1 + retries);
        }

        #[test]
        fn bounds_hold(attempt in 1u32.., since in 0u64..100_000, jitter: f32) {
            let since = Duration::from_millis(since);
            match POLICY.decide(attempt, since, Outcome::NoResponse, Replayable::Yes, jitter) {
                Decision::NoRetry => prop_assert!(attempt > 5 || since >= Duration::from_secs(28)),
                Decision::RetryAfter(delay) => {
                    prop_assert!(attempt <= 5);
                    prop_assert!(since + delay < POLICY.budget);
                    let middle = POLICY.base * 2u32.pow(attempt - 1);
                    prop_assert!(delay >= middle.mul_f32(0.749) && delay <= middle.mul_f32(1.251));
                }
            }
        }
    }
}
