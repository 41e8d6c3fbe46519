//! Pooled connections that died without notice, as when a NAT forgets them or a load balancer is
//! replaced.

use crate::http2::{HOST, error, get};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};
use support::http1::Body;
use support::{Frame, Http2Response, Http2Upstream, Proxy, Request, Response};

#[test]
fn a_dead_connection_is_found_by_pings_within_20_seconds() {
    assert!(OUTCOME.pings > 0, "no PING was sent");
    // 5 seconds more, for a busy machine.
    assert!(OUTCOME.elapsed < Duration::from_secs(25), "it elapsed {:?}", OUTCOME.elapsed);
}

#[test]
fn safe_requests_on_a_dead_connection_are_retried_on_another() {
    for response in [&OUTCOME.idempotent, &OUTCOME.service] {
        assert_eq!(expect_response(response).text(), "up");
    }
}

#[test]
fn unsafe_requests_on_a_dead_connection_are_not_sent_twice() {
    let message = error(expect_response(&OUTCOME.unsafe_to_retry), &[502, 504]);
    assert!(message.contains("https://files.example.test"), "{message}");
    assert_eq!(OUTCOME.sent_unsafe, 1);
}

#[test]
fn a_download_on_a_dead_connection_does_not_look_complete() {
    let download = expect_response(&OUTCOME.download);
    assert_eq!((download.text(), download.complete), ("first", false));
}

#[test]
fn an_idle_connection_is_not_pinged() {
    assert_eq!(OUTCOME.idle_pings, 0);
}

/// The client disconnects before PINGs show that the connection is dead.
#[test]
fn a_connection_without_activity_is_not_reused_after_a_client_aborts() {
    let upstream = upstream();
    let proxy = upstream.proxy().start();
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    upstream.fall_silent();
    let client = get(&proxy, "/queue/v1/given-up");
    upstream.wait_for_requests(2);
    drop(client);
    upstream.wait_for_frames(0, Frame::RST_STREAM, 1);
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    assert_eq!(upstream.requests().last().map(|request| request.connection), Some(1));
}

#[test]
fn a_connection_without_activity_is_not_reused_after_a_retry_ends() {
    let upstream = upstream();
    let proxy = upstream.proxy().args(["--retry-budget", "1"]).start();
    let mut client = get(&proxy, "/queue/v1/busy-once");
    // The retry was sent, and gets no response.
    upstream.wait_for_requests(2);
    upstream.fall_silent();
    assert_eq!(client.response().status(), 503);
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    assert_eq!(upstream.requests().last().map(|request| request.connection), Some(1));
}

#[test]
fn a_connection_with_activity_is_reused_after_a_client_aborts() {
    let upstream = upstream();
    let proxy = upstream.proxy().start();
    let client = get(&proxy, "/queue/v1/stall");
    upstream.wait_for_requests(1);
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    drop(client);
    upstream.wait_for_frames(0, Frame::RST_STREAM, 1);
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    assert_eq!(upstream.connections(), 1);
}

/// The outcomes of requests on a connection that fell silent. They take 20 seconds, so all tests
/// share one run.
static OUTCOME: LazyLock<Outcome> = LazyLock::new(Outcome::measure);

struct Outcome {
    /// The responses are `None` if there was none within a minute.
    idempotent: Option<Response>,
    service: Option<Response>,
    unsafe_to_retry: Option<Response>,
    download: Option<Response>,
    /// How often the request that is unsafe to retry was sent.
    sent_unsafe: usize,
    /// The time until all of them had a response.
    elapsed: Duration,
    /// Pings on the connection that fell silent.
    pings: usize,
    /// Pings on an idle connection meanwhile.
    idle_pings: usize,
}

impl Outcome {
    fn measure() -> Self {
        let idle = upstream();
        let idle_proxy = idle.proxy().start();
        assert_eq!(idle_proxy.get("/queue/v1/x").text(), "up");
        let idle_before = idle.frames(0, Frame::PING);

        let upstream = upstream();
        let proxy = upstream.proxy().start();
        assert_eq!(proxy.get("/queue/v1/x").text(), "up");
        let mut downloading = get(&proxy, "/queue/v1/download").with_double_timeout();
        let head = downloading.head();
        let mut body = Body::of_response(&head, "GET");
        let first = downloading.body_until(&mut body, "first");
        upstream.fall_silent();
        let start = Instant::now();
        let [idempotent, service, unsafe_to_retry, download] = thread::scope(|scope| {
            let threads = [
                scope.spawn(|| exchange(&proxy, "GET", &format!("/{HOST}/get"))),
                scope.spawn(|| exchange(&proxy, "POST", "/queue/v1/post")),
                scope.spawn(|| exchange(&proxy, "POST", &format!("/{HOST}/post"))),
                scope.spawn(|| {
                    let complete = downloading.body_data(&mut body).is_ok();
                    Response { head, body: first, complete, trailers: Vec::new() }
                }),
            ];
            // A client that waits for too long panics.
            threads.map(|thread| thread.join().ok())
        });
        Self {
            idempotent,
            service,
            unsafe_to_retry,
            download,
            sent_unsafe: upstream.count("/post"),
            elapsed: start.elapsed(),
            pings: upstream.frames(0, Frame::PING),
            idle_pings: idle.frames(0, Frame::PING) - idle_before,
        }
    }
}

fn expect_response(response: &Option<Response>) -> &Response {
    response.as_ref().expect("there was no response within a minute")
}

fn exchange(proxy: &Proxy, method: &str, target: &str) -> Response {
    let mut client = proxy.connect().with_double_timeout();
    client.send(support::request(method, target, if method == "GET" { "" } else { "body" }));
    client.response()
}

fn upstream() -> Http2Upstream {
    Http2Upstream::for_host(HOST).start(|request: &Request| match request.target() {
        "/api/queue/v1/busy-once" if request.index == 0 => Http2Response::status(503),
        "/api/queue/v1/busy-once" => Http2Response::nothing().then_stall(),
        "/api/queue/v1/stall" => Http2Response::nothing().then_stall(),
        "/api/queue/v1/download" => {
            Http2Response::head(200, &[("content-length", "9")]).then("first").then_stall()
        }
        _ => Http2Response::ok("up"),
    })
}

/// Connections that may be dead must not use up the limit of connections: no response would make room.
#[test]
fn connections_that_clients_aborted_on_do_not_count_towards_the_limit() {
    let upstream = upstream();
    let proxy = upstream.proxy().start();
    // One more than the limit of connections to an upstream.
    for connection in 0..33 {
        assert_eq!(proxy.get("/queue/v1/x").text(), "up");
        upstream.fall_silent();
        let client = get(&proxy, "/queue/v1/given-up");
        upstream.wait_for_requests(2 * connection + 2);
        drop(client);
        upstream.wait_for_frames(connection, Frame::RST_STREAM, 1);
    }
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
}
