//! Where requests go: the deployment and the hosts that are allowed, and what sends requests there.

use super::{Config, Origin, Outbound, ReplayBudget, SetupError};
use crate::telemetry::metrics::Metrics;
use http::uri::InvalidUri;
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{HostPolicy, RootUrl};

/// Everything that leads to the servers behind the proxy.
#[derive(Debug)]
pub struct Upstreams {
    /// The root URL of the deployment.
    pub root_url: RootUrl,
    /// Its origin.
    pub origin: Arc<Origin>,
    /// Where requests in hostname form may go.
    pub hosts: Arc<HostPolicy>,
    /// What sends requests.
    pub outbound: Outbound,
    /// How much of their bodies is kept for retries.
    pub replay: Arc<ReplayBudget>,
}

/// Why no request can be sent at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamsError {
    /// The root URL has no origin that HTTP can be spoken with.
    #[error(transparent)]
    RootUrl(#[from] InvalidUri),
    /// The environment names a forward proxy that is none, or there is no randomness.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Upstreams {
    /// Nothing is connected before the first request. Retries are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// There is no origin in the root URL, the environment names a forward proxy that is none, or
    /// the system has no randomness to give.
    pub fn new(
        config: &Config,
        root_url: RootUrl,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, UpstreamsError> {
        let origin = Arc::new(Origin::of_root_url(&root_url)?);
        let allowed = config.allowed_hosts.clone();
        let hosts = Arc::new(HostPolicy::new(allowed, root_url.host().clone()));
        let outbound = Outbound::new(config, Arc::clone(&hosts), Arc::clone(metrics))?;
        tracing::debug!("{} is reached {}", origin.as_str(), outbound.route(&origin));
        let replay = Arc::new(ReplayBudget::new(config.replay_buffer, config.replay_total));
        Ok(Self { root_url, origin, hosts, outbound, replay })
    }
}
