//! What can be set about requests to upstreams.

use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostPattern, RetryPolicy};

/// Where requests may go, how long that may take, and how often they are retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The hosts that requests in hostname form may go to; empty for nearly all.
    pub allowed_hosts: Vec<HostPattern>,
    /// DNS, TCP, TLS and a forward proxy together. Too short: slow networks fail. Too long: a task
    /// waits for an upstream that is not there.
    pub connect_timeout: Duration,
    /// How long a kept connection to an upstream may be idle. Longer than the upstream keeps it
    /// costs a retry now and then.
    pub idle_timeout: Duration,
    /// Where so many connections to upstreams are open, one that is idle is closed before another one is
    /// opened: as many as clients may open, for each of which a descriptor is reserved.
    pub max_connections: usize,
    /// How much of one request's body is kept for a retry, in bytes.
    pub replay_buffer: usize,
    /// The same for all requests together, in bytes.
    pub replay_total: usize,
    /// When requests are retried.
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
