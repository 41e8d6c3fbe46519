//! The clock and nonces: the only file that reads the time of day and creates nonces.

use http::HeaderMap;
use http::header::{AGE, DATE};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;

/// The time of day.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since_epoch.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The time in the `Date` header field of a response. `None` for a response from a cache, whose `Date` is old
/// (RFC 9111 section 5.1).
pub fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.contains_key(AGE) {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    let since_epoch = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since_epoch.as_secs()))
}

/// Creates nonces, for signatures and for the ids of requests. Each differs from all others of this
/// process, and very likely from those of other processes. They only need to be distinct, not
/// unpredictable, so they are a counter that starts at a random number.
#[derive(Debug)]
pub struct Nonces(AtomicU64);

/// A nonce: sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonces {
    /// Chooses the first nonce at random.
    ///
    /// # Errors
    ///
    /// The system cannot provide randomness.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(AtomicU64::new(getrandom::u64()?)))
    }

    /// The next nonce.
    pub fn next(&self) -> Nonce {
        Nonce::of(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// A pseudo-random number from 0 to 1 that is good enough to spread retries: a hash (SplitMix64) of the
    /// counter. The system's random numbers would cost a system call.
    pub fn jitter(&self) -> f32 {
        let mut mixed = self.0.load(Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // An f32 represents 24 bits exactly.
        (mixed >> 40) as f32 / (1u32 << 24) as f32
    }
}

impl Nonce {
    /// Formats a number. Not by `format!`, which takes several times as long; each request needs two
    /// nonces.
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
