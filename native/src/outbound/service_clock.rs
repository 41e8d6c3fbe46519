//! Clock skew: the time of day at the services, as far as it can be told from their responses.

use crate::os::clock::now;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use tokio::sync::OnceCell;

/// The time of day at the services, which is the time in signatures: this machine's, unless that
/// has turned out to be wrong.
#[derive(Debug, Default)]
pub struct ServiceClock {
    /// How far the services are ahead of this machine, in milliseconds.
    ahead: AtomicI64,
    /// A service has told the time.
    known: AtomicBool,
    /// A service was asked for the time.
    asked: OnceCell<()>,
}

/// The services allow 15 minutes; what is closer than this is not why they refuse a call.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl ServiceClock {
    /// Their time of day.
    pub fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { now().minus(by) } else { now().plus(by) }
    }

    /// Whether a service has told the time.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Runs `ask`, which calls a service, if none has told the time yet: once, whatever its result.
    /// Concurrent callers wait for it.
    pub async fn ask_once(&self, ask: impl Future<Output = ()>) {
        if !self.is_known() {
            self.asked.get_or_init(|| ask).await;
        }
    }

    /// Takes over the time of the first response of a service, if it is far off. Returns whether it
    /// is.
    pub fn observe(&self, date: Timestamp) -> bool {
        if self.known.swap(true, Ordering::Relaxed) {
            return false;
        }
        let before = self.now();
        self.correct(before, date).is_some_and(SkewCorrection::is_new)
    }

    /// Takes over `date`, the time at a service that refused a request signed at `signed_at`, if
    /// the two are so far apart that this may be why it refused it. `None` if they are not.
    pub fn correct(&self, signed_at: Timestamp, date: Timestamp) -> Option<SkewCorrection> {
        if signed_at.distance(date) <= TOLERANCE {
            return None;
        }
        let before = self.ahead.load(Ordering::Relaxed);
        if self.now().distance(date) <= TOLERANCE {
            // Learned by another request meanwhile, or this one took very long.
            return Some(SkewCorrection { before, after: before });
        }
        let millis = |moment: Timestamp| i64::try_from(moment.millis()).unwrap_or(i64::MAX);
        let after = millis(date).saturating_sub(millis(now()));
        self.ahead.store(after, Ordering::Relaxed);
        Some(SkewCorrection { before, after })
    }

    /// Logs that signatures do not tell this machine's time.
    pub fn warn_of_correction(&self) {
        let date = self.now().to_rfc3339();
        tracing::warn!("this machine's clock is wrong: for the services it is {date}; signing so");
    }

    /// Takes a correction back that did not help. What other requests have learned since stays.
    pub fn undo(&self, SkewCorrection { before, after }: SkewCorrection) {
        let _ = self.ahead.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// How far the services were taken to be ahead before a correction, and after it, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewCorrection {
    before: i64,
    after: i64,
}

impl SkewCorrection {
    /// Whether it changed anything.
    pub fn is_new(self) -> bool {
        self.before != self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_clock_is_learned_and_forgotten() {
        let clock = ServiceClock::default();
        assert_eq!(clock.correct(now(), now().plus(TOLERANCE / 2)), None);
        assert!(clock.now().distance(now()) < TOLERANCE / 2);
        let day = Duration::from_secs(86_400);
        for date in [now().plus(day), now().minus(day), now()] {
            let signed_at = clock.now();
            let correction = clock.correct(signed_at, date).unwrap();
            assert!(correction.is_new() && clock.now().distance(date) < TOLERANCE);
            assert_eq!(clock.correct(clock.now(), date), None);
            // Of one that was signed before, which is not to undo what it has not done.
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
    fn what_was_learned_since_is_not_forgotten() {
        let (clock, day) = (ServiceClock::default(), Duration::from_secs(86_400));
        let first = clock.correct(clock.now(), now().plus(day)).unwrap();
        clock.correct(clock.now(), now().minus(day)).unwrap();
        clock.undo(first);
        assert!(clock.now().distance(now().minus(day)) < TOLERANCE);
    }
}
