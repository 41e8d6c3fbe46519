//! Points in time.

use std::fmt;
use std::time::Duration;

/// A point in time, in milliseconds since the Unix epoch.
///
/// Hawk uses seconds and certificates use milliseconds; this type keeps the two apart.
///
/// ```
/// use taskcluster_proxy_core::Timestamp;
///
/// assert_eq!(Timestamp::from_millis(1_767_225_600_999).secs(), 1_767_225_600);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch, as in certificates.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, as in Hawk.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The date and time in UTC with milliseconds (RFC 3339), as in logs and errors. Times after the
    /// year 9999 are shown as its end.
    ///
    /// ```
    /// use taskcluster_proxy_core::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_secs(1_767_225_600).to_rfc3339(), "2026-01-01T00:00:00.000Z");
    /// ```
    pub fn to_rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let timestamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        format!("{timestamp:.3}")
    }

    /// The time `duration` later, or the maximum.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The time `duration` earlier, or the epoch.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The absolute difference between the two times.
    pub const fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// Milliseconds since the epoch.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
