//! A proxy in the process of a test, only for tests of this workspace. Not a public interface.

pub use crate::credentials::Store;
pub use crate::inbound::{Admission, Listen, bind};
#[cfg(target_os = "linux")]
pub use crate::os::peer::find_owner;
pub use crate::os::peer::{Owner, UserId};
pub use crate::outbound::{Config as OutboundConfig, ReplayBudget};
pub use crate::proxy::{CatchPanic, Client, Handler, Proxy, ResponseBody};
pub use crate::telemetry::log::panics as log_panics;
pub use crate::telemetry::metrics::Metrics;

use crate::inbound::{Config, Drain, Inbound};
use crate::outbound::Upstreams;
use crate::proxy::{self, CredentialsGuard};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{Restriction, RootUrl};
use tokio::task::spawn_local;

/// A proxy that does not listen yet, with the parts of its state that tests inspect.
#[derive(Debug)]
pub struct TestProxy {
    /// The request handler.
    pub proxy: Proxy,
    /// The store of its credentials.
    pub store: Arc<Store>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The memory for request bodies that are kept for retries.
    pub replay: Arc<ReplayBudget>,
}

impl TestProxy {
    /// Creates a proxy for the deployment at `root_url`. An update of its credentials waits for
    /// requests in flight for at most `credentials_drain`.
    ///
    /// # Errors
    ///
    /// Fails if the proxy cannot be started with this configuration.
    pub fn new(
        config: &OutboundConfig,
        root_url: RootUrl,
        credentials: &Credentials,
        credentials_drain: Duration,
    ) -> Result<Self, Box<dyn Error>> {
        let metrics = Arc::new(Metrics::default());
        let upstreams = Upstreams::new(config, root_url, &metrics)?;
        let replay = Arc::clone(&upstreams.replay);
        let store = Arc::new(Store::new(credentials, Restriction::default(), credentials_drain));
        let config = proxy::Config::default();
        let guard = CredentialsGuard::new(config.credentials_from)?;
        let (shared, counted) = (Arc::clone(&store), Arc::clone(&metrics));
        let proxy = Proxy::new(&config, guard, upstreams, shared, counted, Arc::default())?;
        Ok(Self { proxy, store, metrics, replay })
    }
}

/// Serves on a free port of 127.0.0.1 for as long as the current `LocalSet` or `LocalRuntime` runs,
/// and returns the address. Connections are counted in `metrics`.
///
/// # Errors
///
/// Fails if the proxy cannot listen.
pub async fn serve<H: Handler + 'static>(
    handler: Rc<H>,
    metrics: &Arc<Metrics>,
) -> Result<SocketAddr, Box<dyn Error>> {
    let config = Config { max_connections: 100, ..Config::default() };
    let listen = Listen { address: Some(Ipv4Addr::LOCALHOST.into()), port: 0 };
    let listeners = bind(&listen, &config.admission).await?;
    let address = listeners.local_addrs().into_iter().next().ok_or("no TCP socket")?;
    let inbound = Inbound::new(&config, &Arc::new(Drain::default()), metrics)?;
    spawn_local(inbound.serve(listeners, handler));
    Ok(address)
}
