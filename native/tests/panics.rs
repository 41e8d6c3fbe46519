//! A fault in the handling of a request is that request's alone: over real sockets, with what serves
//! connections in the program. Alone in its file: the hook of panics is the whole process's.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails"
)]

use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::{Admission, CredentialsFrom, Limits, Listen};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::inbound::{Admitter, CredentialsGuard, Inbound, bind};
use taskcluster_proxy::outbound::{Origin, Outbound, ReplayBudget};
use taskcluster_proxy::proxy::{AccessPolicy, CatchPanic, Client, Handler, Proxy, ResponseBody};
use taskcluster_proxy::telemetry::log;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{HostPolicy, ProxyError, RootUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

#[tokio::test(flavor = "local")]
async fn one_request_gets_500_and_the_others_go_on() {
    let said = Said::default();
    let writer = said.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    log::panics();
    let gate = Arc::new(Notify::new());
    let handler = Rc::new(CatchPanic(Faulty(proxy(upstream(Arc::clone(&gate)).await))));
    let proxy = started(Rc::clone(&handler)).await;
    let service = &handler.0.0;

    let mut in_flight = sent(proxy, "GET /api/queue/v1/held HTTP/1.0\r\n\r\n").await;
    let mut kept = sent(proxy, "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 12];
    within(kept.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let faulty = "PUT /api/queue/v1/fault?bewit=canary HTTP/1.1\r\nHost: x\r\nAuthorization: canary\r\n\
                  Content-Length: 6\r\n\r\ncanary";
    let answer = to_the_end(&mut sent(proxy, faulty).await).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.contains(r#"{"code":"InternalServerError","message":""#), "{answer}");
    let log = said.text();
    assert!(log.contains("ERROR") && log.contains("a fault of this program, at "), "{log}");
    // Neither what the request held, nor the message of the panic.
    assert!(!log.contains("canary"), "{log}");

    // Who was served before is served on, and so are new ones.
    kept.write_all(b"GET /nowhere HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(to_the_end(&mut kept).await.contains("HTTP/1.0 404 "));
    gate.notify_one();
    assert!(to_the_end(&mut in_flight).await.starts_with("HTTP/1.0 200 "));
    let mut later = sent(proxy, "GET /api/queue/v1/ping HTTP/1.0\r\n\r\n").await;
    assert!(to_the_end(&mut later).await.starts_with("HTTP/1.0 200 "));
    // It holds nothing any more: an update of the credentials would wait for it.
    let new = Credentials::permanent("new", "x").unwrap();
    assert_eq!(within(service.store.replace(new)).await, 0);
    assert_eq!((service.metrics.in_flight(), service.replay.usage().0), (0, 0));
}

/// A proxy with a fault: it panics where the path says so, after a wait.
struct Faulty(Proxy);

impl Handler for Faulty {
    async fn handle(&self, request: Request<Incoming>, client: &Client) -> Response<ResponseBody> {
        if request.uri().path().ends_with("/fault") {
            let _lease = self.0.store.lease().await;
            tokio::task::yield_now().await;
            panic!("canary");
        }
        self.0.handle(request, client).await
    }

    async fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> Response<ResponseBody> {
        self.0.reject(method, uri, error).await
    }
}

/// Responds 200; where the path says so, once the gate is open.
async fn upstream(gate: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap() == 0 {
                        return;
                    }
                }
                let target = String::from_utf8_lossy(&head);
                if target.contains("/held") {
                    gate.notified().await;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            });
        }
    });
    address
}

fn proxy(upstream: SocketAddr) -> Proxy {
    let root_url = RootUrl::parse(&format!("http://{upstream}")).unwrap();
    let origin = Arc::new(Origin::of_root_url(&root_url).unwrap());
    let hosts = Arc::new(HostPolicy::new(Vec::new(), origin.bare_host()));
    let credentials = Credentials::permanent("tester", "canary-token").unwrap();
    let (limits, metrics) = (Limits::default(), Arc::default());
    Proxy {
        outbound: Outbound::new(&limits, Arc::clone(&hosts), Arc::clone(&metrics)).unwrap(),
        policy: AccessPolicy {
            credentials: CredentialsGuard::new(CredentialsFrom::Any).unwrap(),
            hosts,
            reject_browsers: false,
        },
        root_url,
        origin,
        store: Arc::new(Store::new(&credentials, LONG)),
        replay: Arc::new(ReplayBudget::new(limits.replay_each, limits.replay_all)),
        drain: Arc::default(),
        metrics,
        ids: Nonces::new().unwrap(),
    }
}

async fn started(handler: Rc<CatchPanic<Faulty>>) -> SocketAddr {
    let admission = Admission::default();
    let listen = Listen { address: Some([127, 0, 0, 1].into()), port: 0 };
    let listeners = bind(&listen, &admission).await.unwrap();
    let address = listeners.local_addrs()[0];
    let inbound = Inbound {
        listeners,
        tls: None,
        admitter: Admitter::new(&admission).unwrap(),
        drain: Arc::default(),
        metrics: Arc::clone(&handler.0.0.metrics),
        limits: Limits::default(),
        max_connections: 100,
    };
    tokio::task::spawn_local(inbound.serve(handler));
    address
}

async fn sent(proxy: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG / 2, future).await.expect("it comes")
}

/// Only ever reached on the way to a failure.
const LONG: Duration = Duration::from_secs(60);

/// The log.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
