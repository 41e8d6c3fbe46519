//! One request: route it, forward it or handle it here, respond.

mod access_log;
mod bewit;
mod catch_panic;
mod config;
mod content_coding;
mod credentials_guard;
mod diagnosis;
mod forward;
mod handle;
mod headers;
mod own_body;
mod put_credentials;
mod response;

pub use catch_panic::CatchPanic;
pub use config::{Config, CredentialsFrom};
pub use credentials_guard::{CredentialsGuard, GuardError};
pub use response::ResponseBody;

use crate::credentials::Store;
use crate::os::clock::Nonces;
use crate::os::peer::Peer;
use crate::outbound::{ClientConnection, Origin, Outbound, ReplayBudget, Upstreams};
use crate::telemetry::metrics::Metrics;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use taskcluster_proxy_core::proxy::{HostPolicy, ProxyError, RootUrl};

/// Handles requests.
#[derive(Debug)]
pub struct Proxy {
    root_url: RootUrl,
    /// The origin of the root URL.
    origin: Arc<Origin>,
    /// The current credentials.
    store: Arc<Store>,
    policy: AccessPolicy,
    /// Forwards requests.
    outbound: Outbound,
    /// How much of their bodies is kept.
    replay: Arc<ReplayBudget>,
    /// Set when the drain timeout is over: requests that end after it were aborted by the proxy.
    cut_off: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// The ids of requests in the log and in their responses.
    ids: Nonces,
}

/// Which requests are refused, and to whom.
#[derive(Debug)]
struct AccessPolicy {
    /// Who may change the credentials.
    credentials: CredentialsGuard,
    /// Where requests may go.
    hosts: Arc<HostPolicy>,
    /// Whether requests of web pages are refused.
    reject_browsers: bool,
}

impl Proxy {
    /// Forwards requests to `upstreams` with the credentials of `store`, which `guard` lets some
    /// clients change. `cut_off` is set when requests that are still in flight are aborted.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn new(
        config: &Config,
        guard: CredentialsGuard,
        upstreams: Upstreams,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        cut_off: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let Upstreams { root_url, origin, hosts, outbound, replay } = upstreams;
        let reject_browsers = config.reject_browsers;
        let policy = AccessPolicy { credentials: guard, hosts, reject_browsers };
        let ids = Nonces::new()?;
        Ok(Self { root_url, origin, store, policy, outbound, replay, cut_off, metrics, ids })
    }
}

/// The client of a connection. What is still sent for it upstream is aborted when this is dropped.
#[derive(Debug)]
pub struct Client {
    /// Who is at the other end.
    pub peer: Peer,
    pub(crate) connection: Rc<ClientConnection>,
}

impl Client {
    /// The client of a new connection.
    pub fn new(peer: Peer) -> Self {
        Self { peer, connection: Rc::default() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort_upload();
    }
}

/// Handles the requests of clients.
pub trait Handler {
    /// Responds to a request. Never fails: errors become responses here and nowhere else.
    fn handle(
        &self,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Response<ResponseBody>>;

    /// Responds with an error whatever the request is, and closes the client's connection.
    fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> impl Future<Output = Response<ResponseBody>>;
}
