//! The store of the current credentials. Each request has a lease of them, and an update waits for the
//! requests in flight for a limited time.

use crate::os::clock;
use crate::telemetry::build_info::{REVISION, VERSION};
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthorizedScopes, CertificateText, ClientId, Credentials, CredentialsFinding, Signer,
    reduce_scopes, scopes_to_json,
};
use taskcluster_proxy_core::proxy::{CredentialsProfile, ProxyError, ResponseFields, Restriction};
use tokio::sync::{RwLock, watch};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// One set of credentials, ready for use.
#[derive(Debug)]
pub struct Snapshot {
    /// Their clientId.
    pub client_id: ClientId,
    /// Whether there is a certificate.
    pub temporary: bool,
    /// The signer; an error if the credentials cannot be used to sign.
    signer: Result<Signer, ProxyError>,
    /// What looked wrong about the credentials when they became the current ones.
    pub findings: Vec<CredentialsFinding>,
    /// The header fields of responses that describe the credentials.
    pub response_fields: Vec<(HeaderName, HeaderValue)>,
    /// The scopes of the certificate, as a JSON array; `None` for permanent credentials.
    pub scopes: Option<String>,
    /// The authorizedScopes, as a JSON array; `None` for no restriction.
    pub authorized_scopes: Option<String>,
    /// The data for diagnosing why a service refuses a request.
    pub profile: CredentialsProfile,
    /// When the certificate expires; `None` if there is no certificate or it has no valid expiry.
    pub expiry: Option<Timestamp>,
    /// Tracks the leases of this snapshot.
    in_flight: TaskTracker,
}

/// The credentials with which a request began. The request counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Lease {
    snapshot: Arc<Snapshot>,
    _in_flight: TaskTrackerToken,
}

/// Holds the current credentials.
#[derive(Debug)]
pub struct Store {
    /// Locked for reading only while a lease is taken, and for writing while an update waits. The lock
    /// is fair, so that later requests wait for the update.
    current: RwLock<Arc<Snapshot>>,
    /// The same snapshot, for readers that must not wait for an update.
    watched: watch::Sender<Arc<Snapshot>>,
    restriction: Restriction,
    drain: Duration,
}

impl Store {
    /// Creates a store with `credentials`. Requests are restricted by `restriction`, also after updates.
    /// An update waits for requests in flight for at most `drain`.
    pub fn new(credentials: &Credentials, restriction: Restriction, drain: Duration) -> Self {
        let first = Arc::new(Snapshot::new(credentials, &restriction));
        first.warn_of_findings();
        Self {
            restriction,
            watched: watch::Sender::new(Arc::clone(&first)),
            current: RwLock::new(first),
            drain,
        }
    }

    /// Leases the current credentials; during an update, waits for the new ones.
    pub async fn lease(&self) -> Lease {
        let current = self.current.read().await;
        Lease { snapshot: Arc::clone(&current), _in_flight: current.in_flight.token() }
    }

    /// Watches the current credentials and their replacements.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.watched.subscribe()
    }

    /// Makes `credentials` the current ones when the requests in flight have ended, or the drain
    /// timeout is over; requests that are still in flight then keep the previous ones. Returns
    /// their number.
    pub async fn replace(&self, credentials: Credentials) -> usize {
        let mut current = self.current.write().await;
        match current.in_flight.len() {
            0 => {}
            left => tracing::info!("new credentials wait for {left} requests in flight"),
        }
        // Whether it timed out is visible from the number of leases.
        let _ = tokio::time::timeout(self.drain, current.in_flight.wait()).await;
        let left = current.in_flight.len();
        let next = Arc::new(Snapshot::new(&credentials, &self.restriction));
        next.warn_of_findings();
        self.watched.send_replace(Arc::clone(&next));
        *current = next;
        left
    }
}

impl Snapshot {
    fn new(credentials: &Credentials, restriction: &Restriction) -> Self {
        let authorized_scopes = &restriction.scopes;
        let signer = Signer::restricted(credentials, authorized_scopes);
        let mut sent = Cow::Borrowed(authorized_scopes);
        if signer.as_ref().is_ok_and(|signer| !signer.sends_all_scopes()) {
            // The signature has the reduced scopes.
            let reduced: Option<Vec<_>> = authorized_scopes.scopes().map(reduce_scopes);
            sent = Cow::Owned(AuthorizedScopes::from(reduced));
        }
        let revision = REVISION.unwrap_or("unknown");
        let headers = ResponseFields::new(VERSION, revision, credentials, &sent);
        let response_fields = headers.fields().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        });
        let certificate = credentials.certificate.as_ref();
        let now = clock::now();
        let in_flight = TaskTracker::new();
        // `wait` only ends for a closed tracker; a closed one still counts leases.
        in_flight.close();
        Self {
            client_id: credentials.client_id.clone(),
            temporary: certificate.is_some(),
            signer: signer
                .map_err(|finding| ProxyError::UnusableCredentials { finding, since: now }),
            findings: credentials.findings(now),
            response_fields: response_fields.collect(),
            scopes: certificate.map(|certificate| scopes_to_json(certificate.scopes())),
            authorized_scopes: authorized_scopes.scopes().map(scopes_to_json),
            profile: CredentialsProfile::new(credentials, restriction),
            expiry: certificate.and_then(CertificateText::expiry),
            in_flight,
        }
    }

    /// The signer for these credentials.
    ///
    /// # Errors
    ///
    /// The credentials cannot be used to sign; the error is the response to requests.
    pub fn signer(&self) -> Result<&Signer, ProxyError> {
        self.signer.as_ref().map_err(ProxyError::clone)
    }

    fn warn_of_findings(&self) {
        let findings: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        if !findings.is_empty() {
            let client_id = &self.client_id;
            tracing::warn!(
                "the credentials of client \"{client_id}\" look wrong: {}",
                findings.join("; ")
            );
        }
    }
}

impl Deref for Lease {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskcluster_proxy_core::credentials::{AuthorizedScopes, Scope};

    fn credentials(client_id: &str) -> Credentials {
        Credentials::permanent(client_id, "no-secret").unwrap()
    }

    fn client_id(lease: &Lease) -> &str {
        lease.client_id.as_str()
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_waits_for_requests_in_flight_and_later_requests_wait_for_it() {
        let store = Arc::new(Store::new(
            &credentials("old"),
            Restriction::default(),
            Duration::from_secs(5),
        ));
        let lease = store.lease().await;
        let update = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.replace(credentials("new")).await }
        });
        tokio::task::yield_now().await;
        let later = tokio::spawn({
            let store = Arc::clone(&store);
            async move { client_id(&store.lease().await).to_owned() }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!update.is_finished() && !later.is_finished());
        assert_eq!(client_id(&lease), "old");
        drop(lease);
        assert_eq!(update.await.unwrap(), 0);
        assert_eq!(later.await.unwrap(), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_bounded_and_requests_in_flight_keep_their_credentials() {
        let store = Store::new(&credentials("old"), Restriction::default(), Duration::from_secs(5));
        let lease = store.lease().await;
        let start = tokio::time::Instant::now();
        assert_eq!(store.replace(credentials("new")).await, 1);
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(client_id(&lease), "old");
        assert_eq!(client_id(&store.lease().await), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn authorized_scopes_stay() {
        let scopes = AuthorizedScopes::Only(vec![Scope::new("a:b").unwrap()]);
        let restriction = Restriction { scopes, ..Restriction::default() };
        let store = Store::new(&credentials("old"), restriction, Duration::ZERO);
        store.replace(credentials("new")).await;
        let fields: http::HeaderMap = store.lease().await.response_fields.iter().cloned().collect();
        assert_eq!(fields["x-taskcluster-authorized-scopes"], r#"["a:b"]"#);
        assert_eq!(fields["x-taskcluster-proxy-perm-clientid"], "new");
    }
}
