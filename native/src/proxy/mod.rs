//! One request: find out what it is for, do that, respond.

mod access_log;
mod bewit;
mod catch_panic;
mod diagnosis;
mod forward;
mod handle;
mod headers;
mod own_body;
mod put_credentials;
mod response;

pub use catch_panic::CatchPanic;
pub use response::ResponseBody;

use crate::clock::Nonces;
use crate::credentials::Store;
use crate::inbound::{CredentialsGuard, Drain, Peer};
use crate::outbound::{ClientConnection, Origin, Outbound, ReplayBudget};
use crate::telemetry::metrics::Metrics;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{HostPolicy, ProxyError, RootUrl};

/// What requests are handled with.
#[derive(Debug)]
pub struct Proxy {
    /// Where services are.
    pub root_url: RootUrl,
    /// The root URL's.
    pub origin: Arc<Origin>,
    /// The current credentials.
    pub store: Arc<Store>,
    /// What is refused.
    pub policy: AccessPolicy,
    /// How requests are forwarded.
    pub outbound: Outbound,
    /// How much of their bodies is kept.
    pub replay: Arc<ReplayBudget>,
    /// Whether the proxy ends.
    pub drain: Arc<Drain>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// What they are named by in the log and in their responses.
    pub ids: Nonces,
}

/// What is refused, and to whom.
#[derive(Debug)]
pub struct AccessPolicy {
    /// Who may change the credentials.
    pub credentials: CredentialsGuard,
    /// Where requests may go.
    pub hosts: Arc<HostPolicy>,
    /// Whether requests of web pages are refused.
    pub reject_browsers: bool,
}

/// The client of a connection. When it has gone, nothing goes on for it.
#[derive(Debug)]
pub struct Client {
    /// Who it is.
    pub peer: Peer,
    pub(crate) connection: Rc<ClientConnection>,
}

impl Client {
    /// Of a new connection.
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
    /// Responds to a request: always, so that errors become responses here and nowhere else.
    fn handle(
        &self,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Response<ResponseBody>>;

    /// Responds with an error without looking at the request, and lets the client's connection end.
    fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> impl Future<Output = Response<ResponseBody>>;
}
