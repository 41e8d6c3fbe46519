//! Prepares a start: everything that is opened before the proxy sends a request or listens. `--check`
//! opens the same.

use super::Sandbox;
use super::config::Config;
use super::deployment::{OpenedDeployment, SandboxError};
use crate::admin::{self, AdminError};
use crate::credentials::{CredentialsFile, CredentialsFileError};
use crate::inbound::{self, Drain, Inbound, InboundError};
use crate::os::process;
use crate::outbound::{Upstreams, UpstreamsError};
use crate::proxy::{CredentialsGuard, GuardError};
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Credentials;

/// The parts of a proxy that are opened for a start, each with its own result: a start fails with the first
/// error, and a check reports all errors.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The embedded deployment, if it is used; it stops when this is dropped.
    pub(super) sandbox: Option<Sandbox>,
    /// The credentials, without a restriction, and the file from which they were read, if any.
    pub(super) credentials: Result<(Credentials, Option<CredentialsFile>), CredentialsFileError>,
    /// The upstreams of the proxy.
    pub(super) upstreams: Result<Upstreams, UpstreamsError>,
    /// Serves clients' connections.
    pub(super) connections: Result<Inbound, InboundError>,
    /// Decides which clients may replace the credentials.
    pub(super) guard: Result<CredentialsGuard, GuardError>,
    /// The admin listener, if there is one.
    pub(super) admin: Option<Result<admin::Listener, AdminError>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Arc<Drain>,
}

impl Prepared {
    /// Opens all parts. Lowers the limits of connections to what the limit of descriptors allows.
    ///
    /// # Errors
    ///
    /// The embedded deployment cannot start.
    pub(super) async fn new(config: &mut Config) -> Result<Self, SandboxError> {
        let OpenedDeployment { sandbox, root_url, credentials } = config.deployment.open().await?;
        let max_rejections = inbound::max_rejections(usize::MAX);
        let room = process::room_for_connections(config.inbound.max_connections, max_rejections);
        config.inbound.max_connections = room;
        config.outbound.max_connections = room;
        let (metrics, drain) = (Arc::new(Metrics::default()), Arc::new(Drain::default()));
        Ok(Self {
            sandbox,
            credentials,
            upstreams: Upstreams::new(&config.outbound, root_url, &metrics),
            connections: Inbound::new(&config.inbound, &drain, &metrics),
            guard: CredentialsGuard::new(config.proxy.credentials_from),
            admin: config.admin.as_ref().map(admin::Listener::bind),
            metrics,
            drain,
        })
    }
}
