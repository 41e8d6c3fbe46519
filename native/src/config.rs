//! What a start is told, parsed: nothing after this can find it wrong.

use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, Scope};
use taskcluster_proxy_core::proxy::RootUrl;

/// Everything that the command line and the environment say.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Who may connect.
    pub admission: Admission,
    /// What stands behind the proxy.
    pub deployment: Deployment,
    /// The scopes of the command line.
    pub scopes: Vec<Scope>,
    /// The task whose scopes join them.
    pub task_id: Option<String>,
    /// How long an update of the credentials waits for requests in flight.
    pub credentials_drain: Duration,
    /// What is logged: this and what is graver.
    pub log_level: tracing::Level,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every interface, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// 0: one that is free.
    pub port: u16,
}

/// Who may connect. With neither, everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// This user, and root.
    pub user: Option<String>,
    /// Addresses of this network, where the peer's socket is not visible.
    pub network: Option<IpNet>,
}

/// What stands behind the proxy.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
pub enum Deployment {
    /// The embedded one.
    Sandbox,
    /// One of Taskcluster's.
    Taskcluster {
        /// Where it is.
        root_url: RootUrl,
        /// What to sign with; not yet restricted.
        credentials: Credentials,
    },
}
