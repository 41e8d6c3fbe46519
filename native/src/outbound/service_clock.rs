//! Clock skew correction: the services' time, learned from their responses.

use crate::os::clock::now;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use tokio::sync::OnceCell;

/// The services' time, with which requests are signed. It is this machine's time unless that differs
/// too much from the services'.
#[derive(Debug, Default)]
pub struct ServiceClock {
    /// How far the services' clock is ahead of this machine's, in milliseconds.
    ahead: AtomicI64,
    /// Whether the services' time was learned from a response.
    known: AtomicBool,
    /// Set when a service was asked for the time.
    asked: OnceCell<()>,
}

/// The difference up to which no correction is made. The services tolerate 15 minutes, so a smaller
/// difference is not the reason of a 401.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl ServiceClock {
    /// The services' time.
    pub fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { now().minus(by) } else { now().plus(by) }
    }

    /// Whether the services' time was learned from a response.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Runs `ask`, which calls a service, if the services' time is not known. It runs only once, whatever
    /// its result; concurrent callers wait for it.
    pub async fn ask_once(&self, ask: impl Future<Output = ()>) {
        if !self.is_known() {
            self.asked.get_or_init(|| ask).await;
        }
    }

    /// Learns the services' time from their first response. Returns whether that corrected the clock.
    pub fn observe(&self, date: Timestamp) -> bool {
        if self.known.swap(true, Ordering::Relaxed) {
            return false;
        }
        let before = self.now();
        self.correct(before, date).is_some_and(SkewCorrection::is_new)
    }

    /// Learns the services' time from `date`, the `Date` of a response that refused a request signed at
    /// `signed_at`. Returns `None` if the difference is too small to be the reason of the refusal.
    pub fn correct(&self, signed_at: Timestamp, date: Timestamp) -> Option<SkewCorrection> {
        if signed_at.distance(date) <= TOLERANCE {
            return None;
        }
        let before = self.ahead.load(Ordering::Relaxed);
        if self.now().distance(date) <= TOLERANCE {
            // Another request has corrected the clock meanwhile, or this request took very long.
            return Some(SkewCorrection { before, after: before });
        }
        let millis = |time: Timestamp| i64::try_from(time.millis()).unwrap_or(i64::MAX);
        let after = millis(date).saturating_sub(millis(now()));
        self.ahead.store(after, Ordering::Relaxed);
        Some(SkewCorrection { before, after })
    }

    /// Whether requests are signed with a time more than `TOLERANCE` from this machine's.
    pub fn is_corrected(&self) -> bool {
        self.now().distance(now()) > TOLERANCE
    }

    /// Forgets the correction, because a service has refused the corrected time and accepted this machine's.
    pub fn reset(&self) {
        if self.ahead.swap(0, Ordering::Relaxed) != 0 {
            tracing::warn!(
                "requests are signed with this machine's time again: a service refused the time that \
                 was learned from the Date of a response"
            );
        }
    }

    /// Logs that requests are not signed with this machine's time.
    pub fn warn_of_correction(&self) {
        let date = self.now().to_rfc3339();
        tracing::warn!(
            "this machine's clock is wrong: requests are signed with the services' time, {date}"
        );
    }

    /// Undoes a correction that did not help, unless another request has made a later one.
    pub fn undo(&self, SkewCorrection { before, after }: SkewCorrection) {
        let _ = self.ahead.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A correction of the clock: how far the services' clock was assumed to be ahead before it and after it,
/// in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewCorrection {
    before: i64,
    after: i64,
}

impl SkewCorrection {
    /// Whether it changed the clock.
    pub fn is_new(self) -> bool {
        self.before != self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_corrected_and_corrections_are_undone() {
        let clock = ServiceClock::default();
        assert_eq!(clock.correct(now(), now().plus(TOLERANCE / 2)), None);
        assert!(clock.now().distance(now()) < TOLERANCE / 2);
        let day = Duration::from_secs(86_400);
        for date in [now().plus(day), now().minus(day), now()] {
            let signed_at = clock.now();
            let correction = clock.correct(signed_at, date).unwrap();
            assert!(correction.is_new() && clock.now().distance(date) < TOLERANCE);
            assert_eq!(clock.correct(clock.now(), date), None);
            // A request that was signed before the correction must not undo it.
            let late = clock.correct(signed_at, date).unwrap();
            assert!(!late.is_new());
            clock.undo(late);
            assert!(clock.now().distance(date) < TOLERANCE);
            clock.undo(correction);
            assert!(clock.now().distance(date) > TOLERANCE);
            clock.correct(signed_at, date);
        }
    }

    #[test]
    fn a_correction_can_be_forgotten() {
        let clock = ServiceClock::default();
        assert!(!clock.is_corrected());
        assert!(clock.observe(now().plus(Duration::from_secs(86_400))));
        assert!(clock.is_corrected());
        clock.reset();
        assert!(!clock.is_corrected());
    }

    #[test]
    fn a_later_correction_is_not_undone() {
        let (clock, day) = (ServiceClock::default(), Duration::from_secs(86_400));
        let first = clock.correct(clock.now(), now().plus(day)).unwrap();
        clock.correct(clock.now(), now().minus(day)).unwrap();
        clock.undo(first);
        assert!(clock.now().distance(now().minus(day)) < TOLERANCE);
    }
}
