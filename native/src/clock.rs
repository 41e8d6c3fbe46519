//! The one place that reads the time of day and makes nonces.

use http::HeaderMap;
use http::header::DATE;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;
use tokio::sync::OnceCell;

/// The time of day.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since_epoch.as_millis().try_into().unwrap_or(u64::MAX))
}

/// What the `Date` of a response says.
pub fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let since_epoch = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since_epoch.as_secs()))
}

/// The time of day at the services, which signatures tell: this machine's, unless that has turned out
/// to be wrong.
#[derive(Debug, Default)]
pub struct ServiceClock {
    /// In milliseconds.
    ahead: AtomicI64,
    /// A service has told the time.
    known: AtomicBool,
    /// One was asked for it.
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

    /// Runs `ask`, which is to make a call to a service, if none has told the time yet: once, whatever
    /// comes of it. Those that call it meanwhile wait for that.
    pub async fn ask_once(&self, ask: impl Future<Output = ()>) {
        if !self.is_known() {
            self.asked.get_or_init(|| ask).await;
        }
    }

    /// Takes over the time that the first response of a service tells, if it is far off. Whether it is.
    pub fn observe(&self, date: Timestamp) -> bool {
        if self.known.swap(true, Ordering::Relaxed) {
            return false;
        }
        let before = self.now();
        self.correct(before, date).is_some_and(SkewCorrection::is_new)
    }

    /// Takes over what a service said the time is when it refused a request that was signed at
    /// `signed_at`, if that is so far off that it may have refused it for that. `None` where it is not.
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

    /// It was not that. What other requests have learned since stays.
    pub fn undo(&self, SkewCorrection { before, after }: SkewCorrection) {
        let _ = self.ahead.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// What was thought of the services' clock before, and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewCorrection {
    before: i64,
    after: i64,
}

impl SkewCorrection {
    /// Whether something else was thought before.
    pub fn is_new(self) -> bool {
        self.before != self.after
    }
}

/// Nonces, of signatures as of requests: each differs from all others of this process, and most
/// likely from those of any other. They need not be hard to guess, only distinct, so one random
/// number is drawn at the start and counted on from there.
#[derive(Debug)]
pub struct Nonces(AtomicU64);

/// Sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonces {
    /// Draws the first one.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(AtomicU64::new(getrandom::u64()?)))
    }

    /// The next one.
    pub fn next(&self) -> Nonce {
        Nonce::of(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// A number from 0 to 1, good enough to spread retries: the last nonce, its bits mixed
    /// (SplitMix64). The system is not asked, for this is on the way of every request.
    pub fn jitter(&self) -> f32 {
        let mut mixed = self.0.load(Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 24 bits are what an f32 holds exactly.
        (mixed >> 40) as f32 / (1u32 << 24) as f32
    }
}

impl Nonce {
    /// Written out here: two are made for each request, and formatting costs several times as much.
    fn of(mut number: u64) -> Self {
        let mut digits = [0; 16];
        for digit in digits.iter_mut().rev() {
            let value = (number & 15) as u8;
            *digit = value + if value < 10 { b'0' } else { b'a' - 10 };
            number >>= 4;
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
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

    #[test]
    fn nonces_are_hexadecimal() {
        for (number, expected) in [
            (0, "0000000000000000"),
            (0x0123_4567_89ab_cdef, "0123456789abcdef"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            assert_eq!(Nonce::of(number).as_str(), expected);
        }
    }

    #[test]
    fn nonces_differ_and_jitter_is_spread() {
        let nonces = Nonces::new().unwrap();
        let mut seen = std::collections::HashSet::new();
        let mut sum = 0.0;
        for _ in 0..1000 {
            assert!(seen.insert(nonces.next().as_str().to_owned()));
            let jitter = nonces.jitter();
            assert!((0.0..=1.0).contains(&jitter));
            sum += jitter;
        }
        assert!((400.0..600.0).contains(&sum), "{sum}");
    }
}
