//! For tests of this workspace alone: a proxy in the test's own process. Not a public interface.

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

/// A proxy that does not listen yet, and what a test looks at.
#[derive(Debug)]
pub struct TestProxy {
    /// Handles requests.
    pub proxy: Proxy,
    /// Its credentials.
    pub store: Arc<Store>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it keeps of request bodies.
    pub replay: Arc<ReplayBudget>,
}

impl TestProxy {
    /// In front of `root_url`. An update of its credentials waits for at most `credentials_drain`.
    ///
    /// # Errors
    ///
    /// Those of a start.
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

/// Serves on a free port of 127.0.0.1 for as long as the current `LocalSet` runs. Connections are
/// counted in `metrics`.
///
/// # Errors
///
/// Those of a start.
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
