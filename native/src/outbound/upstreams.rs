//! The upstreams: the deployment, the hosts that are allowed, and what is needed to send requests to them.

use super::{Config, Origin, Outbound, ReplayBudget, SetupError};
use crate::telemetry::metrics::Metrics;
use http::uri::InvalidUri;
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{HostPolicy, RootUrl};

/// The upstreams of the proxy, and what is needed to send requests to them.
#[derive(Debug)]
pub struct Upstreams {
    /// The root URL of the deployment.
    pub root_url: RootUrl,
    /// The origin of the deployment.
    pub origin: Arc<Origin>,
    /// The hosts to which requests in hostname form may be forwarded.
    pub hosts: Arc<HostPolicy>,
    /// Sends requests.
    pub outbound: Outbound,
    /// The memory limits for replay buffers.
    pub replay: Arc<ReplayBudget>,
}

/// Why requests to upstreams cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamsError {
    /// The host of the root URL cannot be part of a URI.
    #[error(transparent)]
    RootUrl(#[from] InvalidUri),
    /// Requests cannot be sent.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Upstreams {
    /// Makes no connection before the first request. Retries are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// The host of the root URL cannot be part of a URI, an environment variable does not contain the URL
    /// of a forward proxy, or the system provides no random numbers.
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
