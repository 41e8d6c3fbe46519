//! The state that all requests to a deployment share.

use super::failure::Failure;
use super::records::Records;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Credentials;

/// The state of the routers.
pub(super) type Shared = Arc<Deployment>;

/// A deployment: its root URL, its only client, and its data.
pub(super) struct Deployment {
    pub(super) root_url: String,
    /// The client, and the issuer of tasks' temporary credentials.
    pub(super) credentials: Credentials,
    records: Mutex<Records>,
}

impl Deployment {
    pub(super) fn new(root_url: String, credentials: Credentials) -> Result<Self, Failure> {
        Ok(Self { root_url, credentials, records: Mutex::new(Records::seeded(now())?) })
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        // Handlers change the records last, so the records are consistent even if one has panicked.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only place that reads the clock.
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since_epoch)
}
