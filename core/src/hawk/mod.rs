//! The Hawk HTTP authentication scheme, for clients (signing) and servers (verifying).
//!
//! Source: the Hawk specification (`mozilla/hawk`, API.md) as implemented by npm `hawk` 9, which
//! Taskcluster's auth service uses. Payload hashes are read but never computed: Taskcluster neither
//! requires nor checks them.

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
pub use verify::{Claim, ReceivedRequest};

use std::time::Duration;

/// The maximum length of an `Authorization` value that a Hawk server reads, in bytes, and also of a path
/// and query with a bewit (npm `hawk`, `limits.maxMatchLength`).
pub const MAX_MATCH_LENGTH: usize = 4096;

/// The maximum difference between a request's `ts` and the services' clock.
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Whether `value` is a valid value of an attribute of the `Authorization` header: one or more
/// printable ASCII characters other than `"` and `\`.
pub(crate) fn is_attribute_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}
