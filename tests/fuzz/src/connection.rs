//! Fuzz target: the whole proxy between a client and an upstream that send any bytes.

mod input;
mod message;
mod proxy;
mod upstream;

use input::{Client, Input};
use message::{Response, framings};
use proxy::RETRIES;
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::yield_now;
use tokio::time::timeout;
use upstream::{NEXT_CLIENT, NEXT_CLIENT_BODY, Received};

/// Nothing panics; the client gets HTTP or nothing; only signed requests are forwarded, each with the
/// client's body, and not twice if retries are off; a truncated response never looks complete; and the
/// next client is served.
pub fn connection(data: &[u8]) {
    let input = Input::read(data);
    watch_panics();
    let mut runtime = Builder::new_current_thread();
    // The sockets are polled after each step, so that the pieces arrive separately.
    let runtime = runtime.enable_all().event_interval(1).build_local(LocalOptions::default());
    // Each input has its own proxy, so that results are reproducible.
    runtime.expect("a runtime can be started").block_on(run(&input));
    assert!(!PANICKED.get(), "a task has panicked");
}

/// How long a proxy on the same thread takes to respond, or to send its next request.
const MOMENT: Duration = Duration::from_millis(2);
/// How long it takes at most on a busy machine.
const LONG: Duration = Duration::from_secs(30);

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Notices panics, which the runtime and the proxy catch.
fn watch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            others(panic);
        }));
    });
}

/// The bytes that a client has received.
struct Exchange {
    bytes: Vec<u8>,
    /// Whether the connection was closed, not reset.
    orderly: bool,
}

async fn run(input: &Input<'_>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let record = upstream::serve(listener, input).await;
    let proxy = proxy::start(address, input.retries).await;
    let exchange = exchange(proxy, input).await;
    if !input.upstream.is_well_behaved() {
        timeout(LONG, record.closed())
            .await
            .expect("the proxy closes what the upstream has closed");
    }
    serve_next_client(proxy).await;
    let requests = record.requests();
    if input.client == Client::Raw {
        check_raw(input, &exchange, requests.len());
    } else {
        check_framed(input, &exchange, &requests);
    }
}

/// Sends the bytes of the client and reads what it receives.
async fn exchange(proxy: SocketAddr, input: &Input<'_>) -> Exchange {
    let mut stream = TcpStream::connect(proxy).await.expect("the proxy listens");
    for piece in input.pieces(&input.client_writes()) {
        // The proxy may reject it before all of it is sent.
        if stream.write_all(piece).await.is_err() {
            break;
        }
        yield_now().await;
    }
    let mut bytes = Vec::new();
    if input.client == Client::Raw {
        // Nothing else shows whether the proxy waits for more.
        while let Ok(Ok(1..)) = timeout(2 * MOMENT, stream.read_buf(&mut bytes)).await {}
        let _ = stream.shutdown().await;
    }
    let read = timeout(LONG, stream.read_to_end(&mut bytes)).await;
    let orderly = read.expect("the proxy closes the connection").is_ok();
    Exchange { bytes, orderly }
}

async fn serve_next_client(proxy: SocketAddr) {
    let mut stream = TcpStream::connect(proxy).await.expect("the proxy listens");
    let request = format!("GET {NEXT_CLIENT} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the proxy reads");
    let mut bytes = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut bytes)).await;
    read.expect("the proxy responds").expect("it closes in an orderly way");
    let response = Response::read(&bytes, true).expect("it responds in HTTP");
    let served = response.head.word(1) == "200" && response.body == NEXT_CLIENT_BODY;
    assert!(served && response.complete, "the next client gets {response:?}");
}

/// Checks an exchange in which the client's bytes may contain no request, one or several.
fn check_raw(input: &Input<'_>, exchange: &Exchange, requests: usize) {
    let text = String::from_utf8_lossy(&exchange.bytes).to_ascii_lowercase();
    let is_http = text.starts_with("http/1.1 ") || text.starts_with("http/1.0 ");
    assert!(text.is_empty() || is_http, "{text:?}");
    // The proxy adds this field to each response to a request, and removes those of the upstream.
    let responses = text.matches("\r\nx-taskcluster-proxy-request-id: ").count();
    let most = (responses + 1) * attempts(input);
    assert!(requests <= most, "{requests} requests were forwarded: {text:?}");
}

/// Checks an exchange in which the client has sent one request with a body.
fn check_framed(input: &Input<'_>, exchange: &Exchange, requests: &[Received]) {
    let bodies = requests.iter().filter_map(|request| request.body.as_deref());
    for body in bodies.clone() {
        assert_eq!(body, input.client_bytes, "another body than the client's was forwarded");
    }
    let response = Response::read(&exchange.bytes, exchange.orderly);
    let response = response
        .unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(&exchange.bytes)));
    assert!(response.rest.is_empty(), "something follows {response:?}");
    assert!(framings(&response.head) <= 1, "framed twice: {:?}", response.head);
    if input.upstream.is_well_behaved() {
        assert_eq!((requests.len(), bodies.count()), (1, 1), "sent once, and all of it");
        let same = response.body == input.upstream_bytes && response.head.word(1) == "200";
        assert!(same && response.complete, "not the upstream's response: {response:?}");
        return;
    }
    let most = attempts(input);
    assert!((1..=most).contains(&requests.len()), "it was sent {} times", requests.len());
    // The proxy adds this field to each forwarded response, and removes those of the upstream.
    if response.head.header("x-taskcluster-endpoint").is_none() {
        assert!(response.complete, "the proxy's own response is truncated: {response:?}");
    } else if response.complete {
        let sent = was_sent(input, requests.len(), &response);
        assert!(
            sent,
            "it looks complete, but the upstream has not sent it like this: {response:?}"
        );
    }
}

/// Whether the upstream has sent `found` with its complete body. It may have sent its bytes up to `times`
/// times on one connection.
fn was_sent(input: &Input<'_>, times: usize, found: &Response<'_>) -> bool {
    (1..=times).any(|times| {
        let sent = input.upstream_bytes.repeat(times);
        let mut rest = &sent[..];
        while let Some(response) = Response::read(rest, true) {
            let same = response.head.word(1) == found.head.word(1) && response.body == found.body;
            if same && response.complete {
                return true;
            }
            rest = response.rest;
        }
        false
    })
}

/// How many times a request may be sent.
fn attempts(input: &Input<'_>) -> usize {
    let refused = input.upstream_bytes.windows(4).any(|status| status == b" 401");
    match input.retries {
        true => 1 + RETRIES as usize,
        // After a clock-skew correction it is signed and sent once more, with retries off, too.
        false => 1 + usize::from(refused),
    }
}
