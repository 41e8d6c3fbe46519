//! The store of the current credentials. Each request has a lease of them, and an update waits for the
//! requests in flight for a limited time. Updates that wait at the same time take effect together.

use crate::os::clock;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::counted;
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// `None` for the request that set the credentials, because it does not use them.
    _in_flight: Option<TaskTrackerToken>,
}

/// An update that took effect.
#[derive(Debug)]
pub struct Replaced {
    /// The credentials that it set, even if those of another update are the current ones by now.
    pub lease: Lease,
    /// How many requests keep older credentials.
    pub left: usize,
}

/// Holds the current credentials.
#[derive(Debug)]
pub struct Store {
    /// Locked for reading only while a lease is taken, and for writing while an update waits. The lock
    /// is fair, so that later requests wait for the update.
    current: RwLock<Arc<Snapshot>>,
    /// The same snapshot, for readers that must not wait for an update.
    watched: watch::Sender<Arc<Snapshot>>,
    updates: Mutex<Updates>,
    restriction: Restriction,
    drain: Duration,
}

#[derive(Debug, Default)]
struct Updates {
    /// The credentials of the latest update that waits. Those of earlier ones that wait as well are never
    /// used for a request.
    next: Option<Arc<Snapshot>>,
    /// The requests that were still in flight when the updates that waited for them took effect.
    left: Vec<TaskTracker>,
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
            updates: Mutex::default(),
            drain,
        }
    }

    /// Leases the current credentials; during an update, waits for the new ones.
    pub async fn lease(&self) -> Lease {
        let current = self.current.read().await;
        Lease { snapshot: Arc::clone(&current), _in_flight: Some(current.in_flight.token()) }
    }

    /// Watches the current credentials and their replacements.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.watched.subscribe()
    }

    /// Makes `credentials` the current ones when the requests in flight have ended, or the drain
    /// timeout is over; requests that are still in flight then keep the previous ones.
    ///
    /// Updates that come while one waits take effect together with it, in their order: otherwise each
    /// would wait for the requests that came between them, and these for each update before them.
    pub async fn replace(&self, credentials: Credentials) -> Replaced {
        let own = Arc::new(Snapshot::new(&credentials, &self.restriction));
        match self.watched.borrow().in_flight.len() {
            0 => {}
            left => {
                let requests = counted(left, "request", "requests");
                tracing::info!("new credentials wait for {requests} in flight");
            }
        }
        let mut watcher = {
            let mut updates = self.updates();
            updates.next = Some(Arc::clone(&own));
            // In the same critical section: the next change includes this update.
            self.watched.subscribe()
        };
        tokio::select! {
            biased;
            // Never an error, because `self` has the sender.
            _ = watcher.changed() => {}
            mut current = self.current.write() => {
                // Whether it timed out is visible from the number of leases.
                let _ = tokio::time::timeout(self.drain, current.in_flight.wait()).await;
                let mut updates = self.updates();
                updates.left.push(current.in_flight.clone());
                // Not `None`: no other update had the lock since `next` was set.
                let next = updates.next.take().unwrap_or_else(|| Arc::clone(&own));
                self.watched.send_replace(Arc::clone(&next));
                *current = next;
            }
        }
        own.warn_of_findings();
        Replaced {
            lease: Lease { snapshot: own, _in_flight: None },
            left: self.updates().count_left(),
        }
    }

    fn updates(&self) -> MutexGuard<'_, Updates> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Updates {
    fn count_left(&mut self) -> usize {
        self.left.retain(|requests| !requests.is_empty());
        self.left.iter().map(TaskTracker::len).sum()
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
        assert_eq!(update.await.unwrap().left, 0);
        assert_eq!(later.await.unwrap(), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_bounded_and_requests_in_flight_keep_their_credentials() {
        let store = Store::new(&credentials("old"), Restriction::default(), Duration::from_secs(5));
        let lease = store.lease().await;
        let start = tokio::time::Instant::now();
        assert_eq!(store.replace(credentials("new")).await.left, 1);
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(client_id(&lease), "old");
        assert_eq!(client_id(&store.lease().await), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn updates_that_wait_take_effect_together_and_requests_between_them_wait_once() {
        const DRAIN: Duration = Duration::from_secs(5);
        let drain = Restriction::default();
        let store = Arc::new(Store::new(&credentials("old"), drain, DRAIN));
        let _hanging = store.lease().await;
        let start = tokio::time::Instant::now();
        let mut updates = Vec::new();
        let mut requests = Vec::new();
        for number in 0..5 {
            let new = credentials(&format!("new{number}"));
            let update = Arc::clone(&store);
            updates.push(tokio::spawn(async move { update.replace(new).await }));
            tokio::time::sleep(Duration::from_millis(100)).await;
            let request = Arc::clone(&store);
            requests.push(tokio::spawn(async move { request.lease().await }));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for (number, update) in updates.into_iter().enumerate() {
            let Replaced { lease, left } = update.await.unwrap();
            assert_eq!((client_id(&lease), left), (&*format!("new{number}"), 1));
        }
        assert_eq!(start.elapsed(), DRAIN);
        let mut leases = Vec::new();
        for request in requests {
            leases.push(request.await.unwrap());
        }
        assert!(leases.iter().all(|lease| client_id(lease) == "new4"));
        assert_eq!(start.elapsed(), DRAIN);

        // The next one waits for these requests, no longer for the first one, and counts all of them.
        let update = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.replace(credentials("last")).await.left }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let kept = leases.pop();
        assert!(!update.is_finished());
        leases.clear();
        assert_eq!(update.await.unwrap(), 2);
        assert_eq!(start.elapsed(), 2 * DRAIN);
        drop(kept);
        let start = tokio::time::Instant::now();
        assert_eq!(store.replace(credentials("end")).await.left, 1);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    /// Such as that of a client whose connection is stuck.
    #[tokio::test(start_paused = true)]
    async fn the_response_to_an_update_delays_no_other_one() {
        let store = Store::new(&credentials("old"), Restriction::default(), Duration::from_secs(5));
        let start = tokio::time::Instant::now();
        let first = store.replace(credentials("first")).await;
        assert_eq!(store.replace(credentials("second")).await.left, 0);
        assert_eq!((client_id(&first.lease), start.elapsed()), ("first", Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_that_is_cancelled_does_not_block_others() {
        let store = Store::new(&credentials("old"), Restriction::default(), Duration::from_secs(5));
        let _hanging = store.lease().await;
        let first =
            tokio::time::timeout(Duration::from_secs(1), store.replace(credentials("cancelled")));
        let second = store.replace(credentials("new"));
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!((client_id(&second.lease), client_id(&store.lease().await)), ("new", "new"));
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
