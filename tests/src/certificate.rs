//! Certificates of temporary credentials.

use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The certificate of temporary credentials with these scopes, valid for an hour. Its signature is
/// made up: it is for upstreams that do not verify it.
pub fn certificate(scopes: &[&str]) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let expiry = now + Duration::from_secs(60 * 60);
    json!({
        "version": 1,
        "scopes": scopes,
        "start": now.as_millis() as u64,
        "expiry": expiry.as_millis() as u64,
        "seed": "canary-seed-of-forty-four-characters-0123456",
        "signature": "canary-signature",
        "issuer": "the/issuer",
    })
}
