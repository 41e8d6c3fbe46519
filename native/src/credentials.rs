//! The store of the current credentials: a snapshot for each request, and an update that waits for
//! the requests in flight, but not for ever.

use crate::clock;
use crate::telemetry::build_info::{REVISION, VERSION};
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    ClientId, Credentials, CredentialsFinding, GivenCertificate, Scope, Signer, reduce_scopes,
    scopes_to_json,
};
use taskcluster_proxy_core::proxy::{ProxyError, ReplyHeaders, Terms};
use tokio::sync::{RwLock, watch};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// One set of credentials, made ready for use.
#[derive(Debug)]
pub struct Snapshot {
    /// Whose they are.
    pub client_id: ClientId,
    /// Whether there is a certificate.
    pub temporary: bool,
    /// Signs with them, if anything can.
    signer: Result<Signer, ProxyError>,
    /// What looked wrong about them when they were put in force.
    pub findings: Vec<CredentialsFinding>,
    /// What responses say of them.
    pub response_fields: Vec<(HeaderName, HeaderValue)>,
    /// The scopes of the certificate, as a JSON array; `None` for permanent credentials.
    pub scopes: Option<String>,
    /// The authorizedScopes, as a JSON array; `None` for no restriction.
    pub authorized_scopes: Option<String>,
    /// Why a service may refuse them.
    pub terms: Terms,
    /// When the certificate expires; `None`: there is none, or it does not say.
    pub expiry: Option<Timestamp>,
    in_flight: TaskTracker,
}

/// The credentials that a request began with; it counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Lease {
    snapshot: Arc<Snapshot>,
    _in_flight: TaskTrackerToken,
}

/// Where requests get their credentials.
#[derive(Debug)]
pub struct Store {
    /// Held for reading only as long as it takes to take a lease, and for writing while an update
    /// waits: the lock is fair, so requests that come later queue up behind the update.
    current: RwLock<Arc<Snapshot>>,
    /// The same for those who only look, and must not queue up.
    shown: watch::Sender<Arc<Snapshot>>,
    authorized_scopes: Option<Vec<Scope>>,
    drain: Duration,
}

impl Store {
    /// Begins with `credentials`; their authorizedScopes stay in force through all updates. An
    /// update waits for at most `drain`.
    pub fn new(credentials: &Credentials, drain: Duration) -> Self {
        let first = Arc::new(Snapshot::new(credentials));
        first.warn_of_findings();
        Self {
            authorized_scopes: credentials.authorized_scopes.clone(),
            shown: watch::Sender::new(Arc::clone(&first)),
            current: RwLock::new(first),
            drain,
        }
    }

    /// The credentials in force, or those of the update that is under way once it is through.
    pub async fn lease(&self) -> Lease {
        let current = self.current.read().await;
        Lease { snapshot: Arc::clone(&current), _in_flight: current.in_flight.token() }
    }

    /// The credentials in force, to look at; and each that follows.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shown.subscribe()
    }

    /// Puts `credentials` in force when the requests in flight are done, or when they have been
    /// waited for long enough; those still going on then keep the ones that they have. Returns how
    /// many these are.
    pub async fn replace(&self, mut credentials: Credentials) -> usize {
        credentials.authorized_scopes.clone_from(&self.authorized_scopes);
        let mut current = self.current.write().await;
        // Whoever wonders why an update takes so long finds this.
        match current.in_flight.len() {
            0 => {}
            left => tracing::info!("new credentials wait for {left} requests in flight"),
        }
        // Whether it ran out or not is told by what is still in flight.
        current.in_flight.close();
        let _ = tokio::time::timeout(self.drain, current.in_flight.wait()).await;
        let left = current.in_flight.len();
        let next = Arc::new(Snapshot::new(&credentials));
        next.warn_of_findings();
        self.shown.send_replace(Arc::clone(&next));
        *current = next;
        left
    }
}

impl Snapshot {
    fn new(credentials: &Credentials) -> Self {
        let signer = Signer::new(credentials);
        let mut sent = Cow::Borrowed(credentials);
        if signer.as_ref().is_ok_and(|signer| !signer.sends_all_scopes()) {
            // What requests are signed with.
            let reduced = credentials.authorized_scopes.as_deref().map(reduce_scopes);
            sent.to_mut().authorized_scopes = reduced;
        }
        let headers = ReplyHeaders::new(VERSION, REVISION.unwrap_or("unknown"), &sent);
        let response_fields = headers.fields().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        });
        let certificate = credentials.certificate.as_ref();
        let now = clock::now();
        Self {
            client_id: credentials.client_id.clone(),
            temporary: certificate.is_some(),
            signer: signer
                .map_err(|finding| ProxyError::UnusableCredentials { finding, since: now }),
            findings: credentials.findings(now),
            response_fields: response_fields.collect(),
            scopes: certificate.map(|certificate| scopes_to_json(certificate.scopes())),
            authorized_scopes: credentials.authorized_scopes.as_deref().map(scopes_to_json),
            terms: Terms::new(credentials),
            expiry: certificate.and_then(GivenCertificate::expiry),
            in_flight: TaskTracker::new(),
        }
    }

    /// What signs with these credentials.
    ///
    /// # Errors
    ///
    /// Nothing can be signed with them: the response to whoever asks for it.
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

    fn credentials(client_id: &str) -> Credentials {
        Credentials::permanent(client_id, "no-secret").unwrap()
    }

    fn client_id(lease: &Lease) -> &str {
        lease.client_id.as_str()
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_waits_for_what_is_in_flight_and_later_requests_for_it() {
        let store = Arc::new(Store::new(&credentials("old"), Duration::from_secs(5)));
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
    async fn the_wait_is_bounded_and_old_requests_keep_what_they_have() {
        let store = Store::new(&credentials("old"), Duration::from_secs(5));
        let lease = store.lease().await;
        let start = tokio::time::Instant::now();
        assert_eq!(store.replace(credentials("new")).await, 1);
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(client_id(&lease), "old");
        assert_eq!(client_id(&store.lease().await), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn authorized_scopes_stay() {
        let mut first = credentials("old");
        first.authorized_scopes = Some(vec![Scope::new("a:b").unwrap()]);
        let store = Store::new(&first, Duration::ZERO);
        store.replace(credentials("new")).await;
        let fields: http::HeaderMap = store.lease().await.response_fields.iter().cloned().collect();
        assert_eq!(fields["x-taskcluster-authorized-scopes"], r#"["a:b"]"#);
        assert_eq!(fields["x-taskcluster-proxy-perm-clientid"], "new");
    }
}
