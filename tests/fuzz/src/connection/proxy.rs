//! Starts the whole proxy in front of the upstream of an input.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use taskcluster_proxy::testing::{CatchPanic, OutboundConfig, TestProxy, serve};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{HostPattern, RetryPolicy, RootUrl};

/// The maximum number of retries if they are on.
pub(super) const RETRIES: u32 = 2;

/// Starts a proxy and returns its address. Without `retries` it behaves as with `--retry-budget 0`.
pub(super) async fn start(upstream: SocketAddr, retries: bool) -> SocketAddr {
    let policy = RetryPolicy { retries: RETRIES, base: Duration::ZERO, ..RetryPolicy::default() };
    let config = OutboundConfig {
        // No fuzzed request may leave this machine.
        allowed_hosts: vec![HostPattern::parse("host.invalid").expect("it is a host name")],
        retries: match retries {
            true => policy,
            false => RetryPolicy { budget: Duration::ZERO, ..policy },
        },
        ..OutboundConfig::default()
    };
    let credentials = Credentials::permanent("tester", "no-secret").expect("they are credentials");
    let root_url = RootUrl::parse(&format!("http://{upstream}")).expect("it is a root URL");
    let TestProxy { proxy, metrics, .. } =
        TestProxy::new(&config, root_url, &credentials, Duration::ZERO).expect("it starts");
    serve(Rc::new(CatchPanic(proxy)), &metrics).await.expect("a port is free")
}
