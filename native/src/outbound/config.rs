//! The configuration of requests to upstreams.

use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostPattern, RetryPolicy};

/// The configuration of requests to upstreams: allowed hosts, timeouts, limits, and retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The hosts to which requests in hostname form may be forwarded. If empty, all hosts except those at
    /// special addresses are allowed.
    pub allowed_hosts: Vec<HostPattern>,
    /// The timeout of DNS, TCP, TLS and a forward proxy together. If it is too short, requests over slow
    /// networks fail; if it is too long, tasks wait for upstreams that cannot be reached.
    pub connect_timeout: Duration,
    /// How long an idle connection to an upstream is kept. If that is longer than the upstream keeps it,
    /// some requests have to be retried.
    pub idle_timeout: Duration,
    /// The number of open connections to upstreams from which on an idle one is closed before another one
    /// is made. It equals the maximum of clients' connections, for each of which a descriptor is reserved.
    pub max_connections: usize,
    /// The maximum of one request's body that is kept for retries, in bytes.
    pub replay_buffer: usize,
    /// The maximum of all request bodies together that is kept for retries, in bytes.
    pub replay_total: usize,
    /// The retry policy.
    pub retries: RetryPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(45),
            max_connections: 1000,
            replay_buffer: 1024 * 1024,
            replay_total: 4 * 1024 * 1024,
            retries: RetryPolicy::default(),
        }
    }
}
