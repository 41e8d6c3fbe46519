//! One request: routes it, and forwards it or responds to it.

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

/// The request handler of the proxy.
#[derive(Debug)]
pub struct Proxy {
    root_url: RootUrl,
    /// The origin of the root URL.
    origin: Arc<Origin>,
    /// The current credentials.
    store: Arc<Store>,
    policy: AccessPolicy,
    /// Sends requests to upstreams.
    outbound: Outbound,
    /// The memory for request bodies that are kept for retries.
    replay: Arc<ReplayBudget>,
    /// Set when the remaining requests are aborted because the proxy stops.
    aborting: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// The ids of requests in the log and in their responses.
    ids: Nonces,
}

/// Which requests are allowed.
#[derive(Debug)]
struct AccessPolicy {
    /// Who may change the credentials.
    credentials: CredentialsGuard,
    /// To which hosts requests may be forwarded.
    hosts: Arc<HostPolicy>,
    /// Whether requests of web pages are rejected.
    reject_browsers: bool,
}

impl Proxy {
    /// Creates a handler that forwards requests to `upstreams` with the credentials in `store`; `guard`
    /// decides which clients may change these. `aborting` is set when the requests that are still in
    /// flight are aborted.
    ///
    /// # Errors
    ///
    /// The system cannot provide randomness.
    pub fn new(
        config: &Config,
        guard: CredentialsGuard,
        upstreams: Upstreams,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        aborting: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let Upstreams { root_url, origin, hosts, outbound, replay } = upstreams;
        let reject_browsers = config.reject_browsers;
        let policy = AccessPolicy { credentials: guard, hosts, reject_browsers };
        let ids = Nonces::new()?;
        Ok(Self { root_url, origin, store, policy, outbound, replay, aborting, metrics, ids })
    }
}

/// The client of a connection. When this is dropped, uploads to upstreams that are still running for it
/// are aborted.
#[derive(Debug)]
pub struct Client {
    /// The process at the other end of the connection.
    pub peer: Peer,
    pub(crate) connection: Rc<ClientConnection>,
}

impl Client {
    /// Creates the client of a new connection.
    pub fn new(peer: Peer) -> Self {
        Self { peer, connection: Rc::default() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort_upload();
    }
}

/// A handler of clients' requests.
pub trait Handler {
    /// Responds to a request. Never fails: an error becomes a response.
    fn handle(
        &self,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Response<ResponseBody>>;

    /// Responds to any request with `error`, and closes the client's connection.
    fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> impl Future<Output = Response<ResponseBody>>;
}
