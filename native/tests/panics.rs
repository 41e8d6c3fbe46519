//! A panic in the handling of a request affects only that request: over real sockets, with the server of
//! the program. A test program of its own, as the panic hook applies to the whole process.
#![expect(
    clippy::expect_used,
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
use taskcluster_proxy::testing::{
    CatchPanic, Client, Handler, OutboundConfig, Proxy, ResponseBody, Store, TestProxy, log_panics,
    serve,
};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{ProxyError, RootUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

#[tokio::test(flavor = "local")]
async fn one_request_gets_500_and_the_others_go_on() {
    let buffer = LogBuffer::default();
    let writer = buffer.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    log_panics();
    let gate = Arc::new(Notify::new());
    let upstream = upstream(Arc::clone(&gate)).await;
    let root_url = RootUrl::parse(&format!("http://{upstream}")).unwrap();
    let credentials = Credentials::permanent("tester", "canary-token").unwrap();
    let TestProxy { proxy, store, metrics, replay } =
        TestProxy::new(&OutboundConfig::default(), root_url, &credentials, LONG).unwrap();
    let panicking = PanickingHandler { proxy, store: Arc::clone(&store) };
    let proxy = serve(Rc::new(CatchPanic(panicking)), &metrics).await.unwrap();

    let mut in_flight = sent(proxy, "GET /api/queue/v1/held HTTP/1.0\r\n\r\n").await;
    let mut kept = sent(proxy, "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 12];
    within(kept.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let panicking = "PUT /api/queue/v1/fault?bewit=canary HTTP/1.1\r\nHost: x\r\nAuthorization: canary\r\n\
                  Content-Length: 6\r\n\r\ncanary";
    let response = to_the_end(&mut sent(proxy, panicking).await).await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert!(response.contains(r#"{"code":"InternalServerError","message":""#), "{response}");
    let log = buffer.text();
    assert!(log.contains("ERROR") && log.contains("a fault of this program, at "), "{log}");
    // Neither content of the request nor the message of the panic.
    assert!(!log.contains("canary"), "{log}");

    // Open connections are still served, and so are new ones.
    kept.write_all(b"GET /nowhere HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(to_the_end(&mut kept).await.contains("HTTP/1.0 404 "));
    gate.notify_one();
    assert!(to_the_end(&mut in_flight).await.starts_with("HTTP/1.0 200 "));
    let mut later = sent(proxy, "GET /api/queue/v1/ping HTTP/1.0\r\n\r\n").await;
    assert!(to_the_end(&mut later).await.starts_with("HTTP/1.0 200 "));
    // It does not count as in flight any more: an update of the credentials would wait for it.
    let new = Credentials::permanent("new", "x").unwrap();
    assert_eq!(within(store.replace(new)).await.left, 0);
    assert_eq!((metrics.in_flight(), replay.usage().0), (0, 0));
}

/// A handler that panics if the path says so, after a wait.
struct PanickingHandler {
    proxy: Proxy,
    store: Arc<Store>,
}

impl Handler for PanickingHandler {
    async fn handle(&self, request: Request<Incoming>, client: &Client) -> Response<ResponseBody> {
        if request.uri().path().ends_with("/fault") {
            let _lease = self.store.lease().await;
            tokio::task::yield_now().await;
            panic!("canary");
        }
        self.proxy.handle(request, client).await
    }

    async fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> Response<ResponseBody> {
        self.proxy.reject(method, uri, error).await
    }
}

/// Responds 200; if the path says so, once the gate is open.
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
                let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(response).await.unwrap();
            });
        }
    });
    address
}

async fn sent(proxy: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut response = String::new();
    within(stream.read_to_string(&mut response)).await.unwrap();
    response
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG / 2, future).await.expect("it takes less than the deadline")
}

/// Only reached by a test that fails.
const LONG: Duration = Duration::from_secs(60);

/// The log.
#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl LogBuffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
