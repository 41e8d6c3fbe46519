//! When a request is retried.

use super::Form;
use http::{Method, StatusCode};
use std::time::Duration;

/// How often and how soon a request is retried.
///
/// The default has the figures of Taskcluster's official clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times after the first. More load the services when they are in trouble.
    pub retries: u32,
    /// The wait before the first retry; each later one is twice as long. Varied by a quarter both
    /// ways, so that tasks that failed together do not come back together.
    pub base: Duration,
    /// All retries together end at this time after the first failure. A larger one keeps a task
    /// waiting for a response that its own client would have retried by then.
    pub budget: Duration,
}

/// The longest wait between two attempts, before it is varied.
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
    /// Without a response, before a byte of the request was sent.
    NothingSent,
    /// Without a response, after some or all of the request was sent.
    Broken,
    /// Without a response, for a reason that a retry does not change.
    Permanent,
}

/// Whether a request can be sent again once some of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// Yes: its body, as far as it came, is still there.
    Yes,
    /// No: its body is not kept, or it might do its work twice.
    No,
}

impl Repeatable {
    /// Taskcluster's APIs are built to be idempotent; of another host only RFC 9110 section 9.2.2
    /// is known. `body_kept`: what came of the body is still there.
    pub fn new(form: Form, method: &Method, body_kept: bool) -> Self {
        if body_kept && (form == Form::Service || method.is_idempotent()) {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Respond with what there is.
    Deliver,
    /// Retry after this long.
    RetryAfter(Duration),
}

impl RetryPolicy {
    /// Decides after the attempt number `attempt` (the first is 1), `since` after the first failure.
    /// `jitter` is random, from 0 to 1.
    ///
    /// ```
    /// use http::StatusCode;
    /// use std::time::Duration;
    /// use taskcluster_proxy_core::proxy::{Decision, Outcome, Repeatable, RetryPolicy};
    ///
    /// let outcome = Outcome::Responded(StatusCode::SERVICE_UNAVAILABLE);
    /// assert_eq!(
    ///     RetryPolicy::default().decide(2, Duration::from_millis(150), outcome, Repeatable::Yes, 0.5),
    ///     Decision::RetryAfter(Duration::from_millis(200)),
    /// );
    /// ```
    pub fn decide(
        &self,
        attempt: u32,
        since: Duration,
        outcome: Outcome,
        repeatable: Repeatable,
        jitter: f32,
    ) -> Decision {
        let worthwhile = match outcome {
            Outcome::Responded(status) => status.is_server_error() && repeatable == Repeatable::Yes,
            Outcome::Broken => repeatable == Repeatable::Yes,
            Outcome::NothingSent => true,
            Outcome::Permanent => false,
        };
        if !worthwhile || attempt > self.retries {
            return Decision::Deliver;
        }
        let delay = self.delay(attempt, jitter);
        if since.saturating_add(delay) < self.budget {
            Decision::RetryAfter(delay)
        } else {
            Decision::Deliver
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

    fn retries(outcome: Outcome, repeatable: Repeatable) -> bool {
        POLICY.decide(1, Duration::ZERO, outcome, repeatable, 0.0) != Decision::Deliver
    }

    #[test]
    fn what_is_tried_again() {
        use Outcome::*;
        use Repeatable::*;
        for (outcome, repeatable, expected) in [
            (Responded(StatusCode::OK), Yes, false),
            (Responded(StatusCode::UNAUTHORIZED), Yes, false),
            (Responded(StatusCode::TOO_MANY_REQUESTS), Yes, false),
            (Responded(StatusCode::INTERNAL_SERVER_ERROR), Yes, true),
            (Responded(StatusCode::GATEWAY_TIMEOUT), Yes, true),
            (Responded(StatusCode::INTERNAL_SERVER_ERROR), No, false),
            (Broken, Yes, true),
            (Broken, No, false),
            (NothingSent, No, true),
            (Permanent, Yes, false),
        ] {
            assert_eq!(retries(outcome, repeatable), expected, "{outcome:?} {repeatable:?}");
        }
    }

    #[test]
    fn what_can_be_repeated() {
        for (form, method, body_kept, expected) in [
            (Form::Service, Method::POST, true, Repeatable::Yes),
            (Form::Service, Method::GET, false, Repeatable::No),
            (Form::Host, Method::POST, true, Repeatable::No),
            (Form::Host, Method::PATCH, true, Repeatable::No),
            (Form::Host, Method::PUT, true, Repeatable::Yes),
            (Form::Host, Method::GET, true, Repeatable::Yes),
            (Form::Host, Method::DELETE, false, Repeatable::No),
        ] {
            assert_eq!(Repeatable::new(form, &method, body_kept), expected, "{form:?} {method}");
        }
    }

    proptest! {
        /// Whatever the policy, and however long attempts take.
        #[test]
        fn a_series_of_attempts_is_bounded(
            retries in 0u32..20,
            base in 0u64..10_000,
            budget in 0u64..100_000,
            attempts in prop::collection::vec((0u64..5_000, 0f32..1.0, any::<bool>()), 64),
        ) {
            let [base, budget] = [base, budget].map(Duration::from_millis);
            let policy = RetryPolicy { retries, base, budget };
            // Since the first failure: the first attempt itself may take as long as it likes.
            let mut since = Duration::ZERO;
            let mut count = 0;
            for (took, jitter, responded) in attempts {
                count += 1;
                since += if count == 1 { Duration::ZERO } else { Duration::from_millis(took) };
                let busy = Outcome::Responded(StatusCode::SERVICE_UNAVAILABLE);
                let outcome = if responded { busy } else { Outcome::Broken };
                match policy.decide(count, since, outcome, Repeatable::Yes, jitter) {
                    Decision::Deliver => break,
                    Decision::RetryAfter(delay) => since += delay,
                }
                // None begins after that.
                prop_assert!(since < budget);
            }
            prop_assert!(count <= 1 + retries);
        }

        #[test]
        fn bounds_hold(attempt in 1u32.., since in 0u64..100_000, jitter: f32) {
            let since = Duration::from_millis(since);
            match POLICY.decide(attempt, since, Outcome::Broken, Repeatable::Yes, jitter) {
                Decision::Deliver => prop_assert!(attempt > 5 || since >= Duration::from_secs(28)),
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
