//! The one place that reads the clock and makes nonces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;

/// The time of day.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since_epoch.as_millis().try_into().unwrap_or(u64::MAX))
}

/// Nonces: each differs from all others of this process, and most likely from those of any other.
/// They need not be hard to guess, only distinct, so one random number is drawn at the start and
/// counted on from there.
#[derive(Debug)]
pub struct Nonces(AtomicU64);

impl Nonces {
    /// Draws the first one.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(AtomicU64::new(getrandom::u64()?)))
    }

    /// The next one: sixteen hexadecimal digits.
    pub fn next(&self) -> String {
        format!("{:016x}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A random number from 0 to 1, good enough to spread retries.
pub fn jitter() -> f32 {
    let random = getrandom::u32().unwrap_or_default();
    // 24 bits are what an f32 holds exactly.
    (random >> 8) as f32 / (1u32 << 24) as f32
}
