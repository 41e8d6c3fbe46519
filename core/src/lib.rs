//! The logic of taskcluster-proxy, and nothing else: no IO, no clock, no randomness, no async.
//!
//! - [`hawk`]: the Hawk protocol alone. Artifacts, the normalized string, MACs, the `Authorization`
//!   header and the bewit, both written and read.
//! - [`credentials`]: Taskcluster credentials. Certificates, temporary credentials, scopes, `ext`,
//!   the [`Signer`](credentials::Signer) that signs with them and
//!   [`authenticate`](credentials::authenticate) that checks as the auth service does.
//! - [`proxy`]: what makes it this proxy. The root URL, routes, headers, retries, errors.
//!
//! Time and nonces come in as arguments, so the crate runs and is tested the same everywhere,
//! `wasm32-unknown-unknown` included.
//!
//! # Example
//!
//! ```
//! use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}};
//!
//! let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
//! let request = http::Request::get("https://tc.example.com/api/queue/v1/ping").body(())?;
//! let request = signer.sign(request, Timestamp::from_secs(1_767_225_600), "j4h3g2")?;
//! assert_eq!(
//!     request.headers()["authorization"],
//!     r#"Hawk id="tester", ts="1767225600", nonce="j4h3g2", mac="0hOgWf+NRdfYUYI/LS2mwQmwn2mTR38sOOlzIBWpXts=""#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod credentials;
mod escaped;
pub mod hawk;
mod json;
pub mod proxy;
mod timestamp;

pub use timestamp::Timestamp;
