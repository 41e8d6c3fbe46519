//! The whole proxy before an upstream on loopback.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::{Admission, CredentialsFrom, Limits, Listen};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::inbound::{Admitter, CredentialsGuard, Inbound, bind};
use taskcluster_proxy::metrics::Metrics;
use taskcluster_proxy::outbound::{Origin, Outbound, ReplayBudget};
use taskcluster_proxy::proxy::{AccessPolicy, Proxy};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{HostPolicy, RetryPolicy, RootUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::time::timeout;

/// The whole service before an upstream on loopback: whatever a client sends, it is answered in HTTP
/// or closed, what goes on is signed requests and nothing else, and the next client is served.
pub fn service(data: &[u8]) {
    thread_local! {
        static STORY: Story = Story::start();
    }
    STORY.with(|story| story.tell(data));
}

struct Story {
    runtime: LocalRuntime,
    proxy: SocketAddr,
    upstream_is_well: Arc<AtomicBool>,
}

/// In which a proxy on the same thread has answered.
const MOMENT: Duration = Duration::from_millis(3);
/// In which it has answered even on a machine that is busy.
const LONG: Duration = Duration::from_secs(30);

impl Story {
    fn start() -> Self {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("there is a runtime");
        let upstream_is_well = Arc::new(AtomicBool::new(true));
        let proxy = runtime.block_on(start(Arc::clone(&upstream_is_well)));
        Self { runtime, proxy, upstream_is_well }
    }

    fn tell(&self, data: &[u8]) {
        self.runtime.block_on(async {
            let mut client = TcpStream::connect(self.proxy).await.expect("the proxy listens");
            // It may be refused before it is all there.
            let _ = client.write_all(data).await;
            let mut came = Vec::new();
            while let Ok(Ok(1..)) = timeout(MOMENT, client.read_buf(&mut came)).await {}
            assert!(
                came.is_empty() || came.starts_with(b"HTTP/1.1 ") || came.starts_with(b"HTTP/1.0 "),
                "{:?}",
                String::from_utf8_lossy(&came)
            );
            drop(client);
            let mut other = TcpStream::connect(self.proxy).await.expect("the proxy listens");
            other.write_all(b"GET /nowhere HTTP/1.0\r\n\r\n").await.expect("the proxy reads");
            let mut answer = Vec::new();
            let answered = timeout(LONG, other.read_to_end(&mut answer)).await;
            answered.expect("the proxy answers").expect("it closes in an orderly way");
            assert!(answer.starts_with(b"HTTP/1.0 404 "), "{:?}", String::from_utf8_lossy(&answer));
        });
        assert!(self.upstream_is_well.load(Ordering::Relaxed), "what came upstream was no request");
    }
}

async fn start(upstream_is_well: Arc<AtomicBool>) -> SocketAddr {
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let root_url = format!("http://{}", upstream.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = upstream.accept().await {
            let well = Arc::clone(&upstream_is_well);
            tokio::spawn(async move {
                if !answer(stream).await {
                    well.store(false, Ordering::Relaxed);
                }
            });
        }
    });
    let limits = Limits {
        retries: RetryPolicy { retries: 0, ..RetryPolicy::default() },
        connect_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let credentials = Credentials::permanent("tester", "no-secret").expect("they are credentials");
    let store = Arc::new(Store::new(&credentials, Duration::ZERO));
    let root_url = RootUrl::parse(&root_url).expect("it is a root URL");
    let metrics = Arc::new(Metrics::default());
    // What is sent here goes to no other host.
    let hosts = Arc::new(HostPolicy::new(Vec::new(), "127.0.0.1"));
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
    tokio::task::spawn_local(inbound.serve(Rc::new(proxy)));
    address
}

/// Answers one request and closes; whether it was one, as far as it came.
async fn answer(mut stream: TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return head.is_empty();
        }
    }
    let end = head.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let count = |field: &str| text.matches(&format!("\r\n{field}:")).count();
    let well = text.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0']))
        && count("authorization") == 1
        && text.contains("\r\nauthorization: hawk id=")
        && count("host") == 1
        && count("content-length") + count("transfer-encoding") <= 1
        && count("connection") <= 1;
    // It may be gone.
    let _ = stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nup")
        .await;
    well
}
