//! Graceful shutdown: requests in flight finish, no new ones are accepted, and the exit status says
//! whether any were aborted.

#![cfg(unix)]

use std::net::TcpStream;
use support::http1::Body;
use support::{Latch, ProcessOutput, Proxy, ScriptedResponse, Upstream, request};

/// The exit status if requests were aborted.
const ABORTED: Option<i32> = Some(3);

fn get() -> Vec<u8> {
    request("GET", "/api/queue/v1/ping", "")
}

/// 200 with the first half of its body; the second half is sent when the latch is open.
fn in_halves(latch: &Latch) -> ScriptedResponse {
    ScriptedResponse::bytes("HTTP/1.1 200 \r\nContent-Length: 8\r\n\r\nhalf")
        .then_wait(latch)
        .then("half")
}

/// Sends the signal, and waits until the proxy has noticed it.
fn signal_and_wait(proxy: &Proxy, signal: &str) {
    proxy.signal(signal);
    proxy.wait_for_log(&format!("stopped by SIG{signal}"));
}

#[test]
fn a_download_in_flight_is_finished() {
    for signal in ["TERM", "INT", "HUP"] {
        let latch = Latch::new();
        let upstream = Upstream::start([in_halves(&latch)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(get());
        let head = client.head();
        let mut body = Body::of_response(&head, "GET");
        client.body_until(&mut body, "half");
        signal_and_wait(&proxy, signal);
        latch.open();
        assert_eq!(client.body_until(&mut body, "half"), b"half");
        assert_eq!(client.read_to_end(), b"");
        let ProcessOutput { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), Some(0), "{stderr}");
    }
}

#[test]
fn a_response_that_begins_after_the_signal_is_the_last_on_its_connection() {
    let latch = Latch::new();
    let ok = "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nup";
    let late = ScriptedResponse::nothing().then_wait(&latch).then(ok);
    let upstream = Upstream::start([ScriptedResponse::ok("one"), late]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let (mut client, mut update) = (proxy.connect(), proxy.connect());
    let (half, rest) =
        (b"PUT /creden", b"tials HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]");
    update.send(half);
    // The proxy has one thread: before this later request it has read the incomplete header section.
    client.send(get());
    let first = client.response();
    assert_eq!((first.text(), first.header("connection")), ("one", None));
    client.send(get());
    upstream.wait_for_requests(2);
    signal_and_wait(&proxy, "TERM");
    update.send(rest);
    let refused = update.response();
    assert_eq!((refused.status(), refused.header("connection")), (400, Some("close")));
    latch.open();
    let last = client.response();
    assert_eq!((last.text(), last.header("connection")), ("up", Some("close")));
    assert_eq!((client.read_to_end(), update.read_to_end()), (vec![], vec![]));
    drop((client, update));
    assert_eq!(proxy.wait().status.code(), Some(0));
}

#[test]
fn idle_connections_are_closed_at_once_and_no_new_ones_accepted() {
    let latch = Latch::new();
    let upstream = Upstream::start([ScriptedResponse::ok("one"), in_halves(&latch)]);
    let builder = Proxy::in_front_of(upstream.root_url());
    let proxy = builder.clone().start();
    let mut idle = proxy.connect();
    idle.send(get());
    assert_eq!(idle.response().text(), "one");
    let mut unused = proxy.connect();
    let mut busy = proxy.connect();
    busy.send(get());
    busy.head();
    signal_and_wait(&proxy, "TERM");
    assert_eq!(idle.read_to_end(), b"");
    assert_eq!(unused.read_to_end(), b"");
    assert!(TcpStream::connect(proxy.address()).is_err(), "the port still accepts connections");
    // Another proxy can listen on the port meanwhile.
    let next = builder.port(proxy.address().port()).start();
    latch.open();
    assert_eq!(next.get("/api/queue/v1/ping").text(), "halfhalf");
    assert_eq!(busy.read_to_end(), b"halfhalf");
    assert_eq!(proxy.wait().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_proxy_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(get());
        upstream.wait_for_requests(1);
        signal_and_wait(&proxy, first);
        proxy.signal(second);
        assert_eq!(client.read_to_end(), b"");
        let ProcessOutput { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), ABORTED, "{stderr}");
        let expected = format!("1 connection is aborted by a second signal, SIG{second}");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn sighup_is_ignored_under_nohup() {
    let upstream = Upstream::start([ScriptedResponse::ok("one")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).under(["nohup"]).start();
    proxy.signal("HUP");
    assert_eq!(proxy.get("/api/queue/v1/ping").text(), "one");
    proxy.signal("TERM");
    let ProcessOutput { status, stderr, .. } = proxy.wait();
    assert!(status.code() == Some(0) && !stderr.contains("SIGHUP"), "{stderr}");
}

#[test]
fn an_aborted_transfer_is_logged_with_the_bytes_sent_and_the_upstream() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let head = format!("HTTP/1.1 200 \r\nContent-Length: {}\r\n\r\n", LENGTH + 1);
    let body = "x".repeat(LENGTH - 3) + "end";
    let upstream = Upstream::start([ScriptedResponse::bytes([head, body].concat()).then_stall()]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .args(["--drain-timeout", "0", "--log-format", "json"])
        .start();
    let mut client = proxy.connect();
    client.send(get());
    let head = client.head();
    let mut body = Body::of_response(&head, "GET");
    client.body_until(&mut body, "end");
    proxy.signal("TERM");
    let ProcessOutput { status, stderr, .. } = proxy.wait();
    assert_eq!(status.code(), ABORTED, "{stderr}");
    let line =
        stderr.lines().find(|line| line.contains("/v1/ping")).expect("the request is logged");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["bytes_out"], LENGTH, "{line}");
    assert_eq!(line["upstream"], upstream.root_url(), "{line}");
    assert_eq!((&line["status"], &line["outcome"]), (&200.into(), &"truncated".into()), "{line}");
}

#[test]
fn the_drain_timeout_limits_the_wait() {
    for timeout in ["0", "0.1"] {
        let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
        let builder = Proxy::in_front_of(upstream.root_url()).args(["--drain-timeout", timeout]);
        let idle = builder.clone().start();
        let _connection = idle.connect();
        idle.signal("TERM");
        assert_eq!(idle.wait().status.code(), Some(0), "{timeout}: nothing is in flight");

        let proxy = builder.start();
        let mut client = proxy.connect();
        client.send(get());
        upstream.wait_for_requests(1);
        proxy.signal("TERM");
        assert_eq!(client.read_to_end(), b"");
        let ProcessOutput { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), ABORTED, "{stderr}");
        let expected = format!("1 connection is aborted after {timeout} s (--drain-timeout)");
        assert!(stderr.contains(&expected), "{stderr}");
        upstream.wait_for_closed_connections(1);
    }
}
