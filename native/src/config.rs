//! What a start is told, parsed: nothing after this can find it wrong.

use crate::credentials_file::CredentialsSource;
use crate::telemetry::log::Logging;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use taskcluster_proxy_core::credentials::Scope;
use taskcluster_proxy_core::proxy::{HostPattern, RetryPolicy, RootUrl};

/// Everything that the command line and the environment say.
#[derive(Debug)]
pub struct Config {
    /// Where to listen over TCP. `None`: where nothing else is listened on, as by default.
    pub listen: Option<Listen>,
    /// The Unix socket to listen on.
    pub socket: Option<SocketFile>,
    /// What TLS over TCP needs. `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Who may connect.
    pub admission: Admission,
    /// Who may change the credentials.
    pub credentials_from: CredentialsFrom,
    /// Whether requests of web pages are refused.
    pub reject_browsers: bool,
    /// The hosts that requests in hostname form may go to; empty for nearly all.
    pub allowed_hosts: Vec<HostPattern>,
    /// What stands behind the proxy.
    pub deployment: Deployment,
    /// The scopes of the command line.
    pub scopes: Vec<Scope>,
    /// The task whose scopes join them.
    pub task_id: Option<String>,
    /// How long an update of the credentials waits for requests in flight.
    pub credentials_drain: Duration,
    /// How long and how much.
    pub limits: Limits,
    /// Where whoever operates the proxy looks after it; `None`: nowhere.
    pub admin: Option<AdminAddress>,
    /// What is logged, and how.
    pub logging: Logging,
    /// The accessToken was given on the command line, which every local user can read.
    pub token_is_visible: bool,
}

/// Where to listen over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every interface, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// 0: one that is free.
    pub port: u16,
}

impl Default for Listen {
    /// The reference's.
    fn default() -> Self {
        Self { address: None, port: 8080 }
    }
}

/// What TLS with clients needs, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, the server's own first.
    pub certificate: PathBuf,
    /// The private key of the first one.
    pub key: PathBuf,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Where it is made.
    pub path: PathBuf,
    /// Who may connect by the file's permissions. Too wide: any user of the machine may.
    pub mode: u16,
}

/// Who may change the credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// Whoever may connect.
    #[default]
    Any,
    /// Who runs the proxy.
    SameUser,
    /// root; SYSTEM on Windows.
    Root,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket at this path.
    #[cfg(unix)]
    Unix(PathBuf),
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
        /// Where to find what to sign with.
        credentials: CredentialsSource,
    },
}

/// How long and how much. Each has a default that fits a task's proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// DNS, TCP, TLS and a proxy on the way together. Too short: slow networks fail. Too long: a
    /// task waits for an upstream that is not there.
    pub connect_timeout: Duration,
    /// How long a kept connection to an upstream may be idle. Longer than the upstream keeps it
    /// costs a retry now and then.
    pub upstream_idle_timeout: Duration,
    /// How long a client may take to send the head of a request, and how long its connection may be
    /// idle before it. Too long: idle clients hold descriptors.
    pub head_timeout: Duration,
    /// How long requests in flight have to finish once the proxy is told to stop. Too short: they are
    /// cut off. Longer than whoever stops the proxy waits: it is killed instead.
    pub drain_timeout: Duration,
    /// How many connections of clients are served at once; those beyond are answered 503. Too few: a
    /// task that does much at once is turned away. Too many: descriptors and memory, some 200 KiB for
    /// each that sends the largest heads, are used up.
    pub max_connections: usize,
    /// How much of one request's body is kept so that it can be sent again, in bytes.
    pub replay_each: usize,
    /// The same for all requests together, in bytes.
    pub replay_all: usize,
    /// When to try again.
    pub retries: RetryPolicy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            upstream_idle_timeout: Duration::from_secs(45),
            head_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            max_connections: 1000,
            replay_each: 1024 * 1024,
            replay_all: 4 * 1024 * 1024,
            retries: RetryPolicy::default(),
        }
    }
}
