//! Tests of the support itself: the raw client against the scripted upstream, and with the proxy
//! between them.

use crate::http1::Body;
use crate::{Connection, Latch, Proxy, Request, ScriptedResponse, Upstream, exchange};
use std::time::Duration;

const GET: &str = "GET /a%2f//b;c?d HTTP/1.1\r\nhost: X\r\nTwice: 1\r\ntwice:  2 \r\n\r\n";

#[test]
fn requests_are_recorded_byte_for_byte() {
    let upstream =
        Upstream::start([ScriptedResponse::ok("one"), ScriptedResponse::chunked(["t", "wo"])]);
    let mut connection = Connection::open(upstream.address());
    connection.send(GET);
    let response = connection.response();
    assert_eq!((response.status(), response.text(), response.complete), (200, "one", true));
    connection.send("PUT /x HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!(connection.response().text(), "two");
    connection.send("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\n\r\n\r\n0\r\nt: v\r\n\r\n");
    assert_eq!(connection.response().text(), "two");

    let [get, put, post] = upstream.wait_for_requests(3).try_into().unwrap();
    assert_eq!((get.method(), get.target()), ("GET", "/a%2f//b;c?d"));
    assert_eq!(get.head.bytes(), GET.as_bytes());
    assert_eq!(get.head.all("twice"), ["1", "2"]);
    assert_eq!(get.header("Host"), Some("X"));
    assert_eq!((put.body, post.body), (b"abc".to_vec(), b"abc\r\n".to_vec()));
    assert_eq!((upstream.connections(), post.connection), (1, 0));
}

#[test]
fn truncated_bodies_are_detected() {
    let script = [
        ScriptedResponse::truncated(5, "four"),
        ScriptedResponse::bytes(
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n",
        )
        .then_close(),
        ScriptedResponse::bytes("HTTP/1.1 200 \r\n\r\nto the end").then_close(),
        ScriptedResponse::bytes("HTTP/1.1 200 \r\n\r\n").then_reset(),
    ];
    let upstream = Upstream::start(script);
    let responses = [(); 4].map(|()| exchange(upstream.address(), GET));
    let expected = [("four", false), ("five!", false), ("to the end", true), ("", false)];
    assert_eq!(responses.each_ref().map(|it| (it.text(), it.complete)), expected);
    upstream.wait_for_closed_connections(4);
}

#[test]
fn connections_without_a_response() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/close" => ScriptedResponse::nothing().then_close(),
        "/reset" => ScriptedResponse::nothing().then_reset(),
        _ => ScriptedResponse::nothing().then_stall(),
    });
    for target in ["close", "reset"] {
        let mut connection = Connection::open(upstream.address());
        connection.send(format!("GET /{target} HTTP/1.1\r\n\r\n"));
        assert_eq!(connection.read_to_end(), b"");
    }
    let mut stalled = Connection::open(upstream.address());
    stalled.send("GET /stall HTTP/1.1\r\n\r\n");
    upstream.wait_for_requests(3);
    stalled.reset();
    upstream.wait_for_closed_connections(3);
}

#[test]
fn a_response_can_wait_half_way() {
    let latch = Latch::new();
    let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
    let response =
        ScriptedResponse::bytes(head).then_chunk("first").then_wait(&latch).then_chunk("second");
    let upstream = Upstream::start([response.then_trickle("0\r\n\r\n", Duration::from_millis(1))]);
    let mut connection = Connection::open(upstream.address());
    connection.send(GET);
    let mut body = Body::of_response(&connection.head(), "GET");
    assert_eq!(connection.body_until(&mut body, "first"), b"first");
    latch.open();
    assert_eq!(connection.body_until(&mut body, "second"), b"second");
    connection.finish_sending();
    assert_eq!(connection.read_to_end(), b"\r\n0\r\n\r\n");
}

#[test]
fn a_response_can_come_before_the_body() {
    let response =
        ScriptedResponse::bytes("HTTP/1.1 100 Continue\r\n\r\n").before_body().then_read_body();
    let upstream = Upstream::start([response.then("HTTP/1.1 204 \r\n\r\n")]);
    let mut connection = Connection::open(upstream.address());
    connection.send("PUT / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(connection.response().status(), 100);
    connection.send("abc");
    assert_eq!(connection.response().status(), 204);
    assert_eq!(upstream.wait_for_requests(1).pop().unwrap().body, b"abc");
}

#[test]
fn bodies_can_be_large() {
    const LENGTH: usize = 20_000_000;
    let upstream = Upstream::start([ScriptedResponse::large(LENGTH as u64)]);
    let mut connection = Connection::open(upstream.address());
    connection.send(format!("PUT / HTTP/1.1\r\nContent-Length: {LENGTH}\r\n\r\n"));
    connection.send(vec![b'x'; LENGTH]);
    let response = connection.response();
    assert_eq!((response.complete, response.body.len()), (true, LENGTH));
    let request = upstream.wait_for_requests(1).pop().unwrap();
    assert_eq!((request.body.len(), request.body_length), (Request::MAX_RECORDED, LENGTH as u64));
}

#[test]
fn the_proxy_is_a_process_of_its_own() {
    let upstream = Upstream::start([ScriptedResponse::status(503), ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--log-level", "debug"]).start();
    let response = proxy.exchange("GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((response.status(), response.text()), (200, "hello"));
    assert_eq!(upstream.wait_for_requests(2)[1].target(), "/api/queue/v1/ping");
    assert!(proxy.wait_for_log("root url").contains(&upstream.root_url()));

    let address = proxy.address();
    let killed = proxy.kill();
    assert_eq!((killed.status.code(), killed.stdout.as_str()), (None, ""));
    assert!(killed.stderr.contains(&format!("listening on {address}")));
    let again = Proxy::in_front_of(upstream.root_url()).port(address.port()).start();
    assert_eq!(again.address(), address);
    again.signal("TERM");
    again.wait();

    let version = Proxy::builder().args(["--short-version"]).run();
    assert_eq!((version.status.success(), version.stderr.as_str()), (true, ""));
    assert!(version.stdout.starts_with(|first: char| first.is_ascii_digit()));
}
