//! The configuration: what the command line and the environment say, parsed and validated.

use crate::credentials::CredentialsSource;
use crate::telemetry::log::Logging;
use crate::{admin, inbound, outbound, proxy};
use std::time::Duration;
use taskcluster_proxy_core::credentials::Scope;
use taskcluster_proxy_core::proxy::RootUrl;

/// The configuration of each room, and what the process itself needs.
#[derive(Debug)]
pub struct Config {
    /// Connections of clients.
    pub inbound: inbound::Config,
    /// Requests.
    pub proxy: proxy::Config,
    /// Connections and requests to upstreams.
    pub outbound: outbound::Config,
    /// Where the admin listener is; `None`: nowhere.
    pub admin: Option<admin::Address>,
    /// The upstream deployment, and credentials for it.
    pub deployment: Deployment,
    /// The scopes of the command line.
    pub scopes: Vec<Scope>,
    /// The task whose scopes join them.
    pub task_id: Option<String>,
    /// How long an update of the credentials waits for requests in flight.
    pub credentials_drain: Duration,
    /// How long requests in flight have to finish after a signal to stop. Too short: they are
    /// aborted. Longer than the launcher waits: the proxy is killed instead.
    pub drain_timeout: Duration,
    /// What is logged, and how.
    pub logging: Logging,
    /// The accessToken was given on the command line, which every local user can read.
    pub token_is_visible: bool,
}

/// The upstream deployment, and credentials for it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
pub enum Deployment {
    /// The embedded one.
    Sandbox,
    /// One of Taskcluster's.
    Taskcluster {
        /// Where it is.
        root_url: RootUrl,
        /// Where its credentials come from.
        credentials: CredentialsSource,
    },
}
