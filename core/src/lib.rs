//! The logic of taskcluster-proxy without IO, clock, randomness or async: time and nonces are
//! arguments. It works the same on every platform, including `wasm32-unknown-unknown`.
//!
//! - [`credentials`]: Taskcluster credentials, the [`Signer`](credentials::Signer) that signs with
//!   them, and [`authenticate`](credentials::authenticate), which verifies requests as the auth
//!   service does.
//! - [`hawk`]: the Hawk protocol alone: artifacts, MACs, the `Authorization` header field, the bewit.
//! - [`proxy`]: the decisions of the proxy: root URL, routes, header fields, retries, errors,
//!   diagnosis.
//!
//! # Sign a request
//!
//! ```
//! use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}};
//!
//! let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
//! let request = http::Request::get("https://tc.example.com/api/queue/v1/ping").body(())?;
//! let signed = signer.sign(request, Timestamp::from_secs(1_767_225_600), "j4h3g2")?;
//! assert_eq!(
//!     signed.headers()["authorization"],
//!     r#"Hawk id="tester", ts="1767225600", nonce="j4h3g2", mac="0hOgWf+NRdfYUYI/LS2mwQmwn2mTR38sOOlzIBWpXts=""#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sign a URL
//!
//! ```
//! use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}};
//!
//! let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
//! let url = url::Url::parse("https://tc.example.com/api/queue/v1/task/x?y")?;
//! let signed = signer.bewit(&url, Timestamp::from_secs(1_767_229_200))?; // when it expires
//! assert!(signed.as_str().starts_with("https://tc.example.com/api/queue/v1/task/x?y&bewit=dGVz"));
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
