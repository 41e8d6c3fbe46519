//! The configuration, parsed and validated from the command line and the environment.

use crate::credentials::CredentialsSource;
use crate::telemetry::log::Logging;
use crate::{admin, inbound, outbound, proxy};
use std::time::Duration;
use taskcluster_proxy_core::credentials::Scope;
use taskcluster_proxy_core::proxy::RootUrl;

/// The configuration of each room, and of the process itself.
#[derive(Debug)]
pub struct Config {
    /// The configuration of clients' connections.
    pub inbound: inbound::Config,
    /// The configuration of handling requests.
    pub proxy: proxy::Config,
    /// The configuration of requests to upstreams.
    pub outbound: outbound::Config,
    /// The address of the admin listener, if there is one.
    pub admin: Option<admin::Address>,
    /// The deployment and its credentials.
    pub deployment: Deployment,
    /// The scopes of the command line.
    pub scopes: Vec<Scope>,
    /// The task whose scopes are added to them.
    pub task_id: Option<String>,
    /// How long an update of the credentials waits for requests in flight.
    pub credentials_drain: Duration,
    /// How long requests in flight have to finish after a signal to stop; after that they are aborted. If
    /// the launcher does not wait as long, it kills the proxy instead.
    pub drain_timeout: Duration,
    /// The level and format of the log.
    pub logging: Logging,
    /// Whether the accessToken is on the command line, which every local user can read.
    pub token_is_visible: bool,
}

/// The deployment to which requests are forwarded, and the source of its credentials.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
pub enum Deployment {
    /// The embedded deployment.
    Sandbox,
    /// A Taskcluster deployment.
    Taskcluster {
        /// The root URL of the deployment.
        root_url: RootUrl,
        /// The source of the credentials.
        credentials: CredentialsSource,
    },
}
