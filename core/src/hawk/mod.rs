//! The Hawk HTTP authentication scheme, both halves: what a client writes and what a server checks.
//!
//! Source: the Hawk specification (`mozilla/hawk`, API.md) as npm `hawk` 9 implements it, which is
//! what Taskcluster's auth service runs. Payload hashes are read and carried but never computed:
//! Taskcluster neither needs nor checks one.

mod artifacts;
mod bewit;
mod error;
mod header;
mod mac;
mod url;
mod verify;

pub use artifacts::{Artifacts, Kind};
pub(crate) use bewit::bewit_suffix;
pub use bewit::{Bewit, append_bewit, split_bewit};
pub use error::HawkError;
pub use header::AuthorizationHeader;
pub use mac::{Key, Mac};
pub use url::{UrlError, UrlParts, parse_url};
pub use verify::{Claim, RequestLine};

use std::time::Duration;

/// The longest `Authorization` value, in bytes, that a Hawk server reads, and likewise the longest
/// path and query (npm `hawk`, `limits.maxMatchLength`).
pub const MAX_MATCH_LENGTH: usize = 4096;

/// How far a request's `ts` may be from the services' clock.
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Whether `value` may stand between the quotes of an attribute of the `Authorization` header:
/// at least one character, printable ASCII, neither `"` nor `\`.
pub(crate) fn is_attribute_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}
