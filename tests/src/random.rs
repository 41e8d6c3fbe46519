use crate::environment::number;
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The same ones for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any.
    #[expect(clippy::should_implement_trait, reason = "they have no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One that is less than this.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The seed that this variable of the environment gives, to repeat another run; else one from the
/// clock.
pub fn seed(variable: &str) -> u64 {
    number(variable).unwrap_or_else(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.expect("it is after 1970").as_millis() as u64
    })
}
