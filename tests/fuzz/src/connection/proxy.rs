//! The whole proxy before the upstream of one input.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::{Admission, CredentialsFrom, Limits, Listen};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::inbound::{Admitter, CredentialsGuard, Inbound, bind};
use taskcluster_proxy::outbound::{Origin, Outbound, ReplayBudget};
use taskcluster_proxy::proxy::{AccessPolicy, CatchPanic, Proxy};
use taskcluster_proxy::telemetry::metrics::Metrics;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{HostPattern, HostPolicy, RetryPolicy, RootUrl};

/// How many times a request is sent again where retries are on.
pub(super) const RETRIES: u32 = 2;

/// Starts a proxy and returns where it listens. Without `retries` it is as with `--retry-budget 0`.
pub(super) async fn start(upstream: SocketAddr, retries: bool) -> SocketAddr {
    let policy = RetryPolicy { retries: RETRIES, base: Duration::ZERO, ..RetryPolicy::default() };
    let limits = Limits {
        retries: match retries {
            true => policy,
            false => RetryPolicy { budget: Duration::ZERO, ..policy },
        },
        connect_timeout: Duration::from_secs(10),
        ..Limits::default()
    };
    let credentials = Credentials::permanent("tester", "no-secret").expect("they are credentials");
    let store = Arc::new(Store::new(&credentials, Duration::ZERO));
    let root_url = RootUrl::parse(&format!("http://{upstream}")).expect("it is a root URL");
    let metrics = Arc::new(Metrics::default());
    // No fuzzed request leaves this machine.
    let allowed = HostPattern::parse("host.invalid").expect("it is a host name");
    let hosts = Arc::new(HostPolicy::new(vec![allowed], "127.0.0.1"));
    let proxy = Proxy {
        origin: Arc::new(Origin::of_root_url(&root_url).expect("it is an origin")),
        root_url,
        store,
        policy: AccessPolicy {
            credentials: CredentialsGuard::new(CredentialsFrom::Any).expect("anybody may"),
            hosts: Arc::clone(&hosts),
            reject_browsers: false,
        },
        outbound: Outbound::new(&limits, hosts, Arc::clone(&metrics))
            .expect("the environment names no proxy"),
        replay: Arc::new(ReplayBudget::new(limits.replay_each, limits.replay_all)),
        drain: Arc::default(),
        metrics: Arc::clone(&metrics),
        ids: Nonces::new().expect("there is randomness"),
    };
    let admission = Admission::default();
    let listen = Listen { address: "127.0.0.1".parse().ok(), port: 0 };
    let listeners = bind(&listen, &admission).await.expect("a port is free");
    let address = listeners.local_addrs()[0];
    let admitter = Admitter::new(&admission).expect("everyone may connect");
    let (tls, drain) = (None, Arc::default());
    let inbound =
        Inbound { listeners, tls, admitter, drain, metrics, limits, max_connections: 100 };
    tokio::task::spawn_local(inbound.serve(Rc::new(CatchPanic(proxy))));
    address
}
