//! Reused connections to upstreams, and upstreams that close them (docs/compatibility.md, F2).

use support::{Connection, Proxy, Request, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
const CHUNKED: &str = "POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\
                       Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const DELETE: &str = "DELETE /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn one_connection_serves_many_requests() {
    let upstream =
        Upstream::start([ScriptedResponse::ok("up"), ScriptedResponse::chunked(["u", "p"])]);
    assert_eq!(requests_lost_by(&upstream, 50), 0);
    // A body of unknown length may use a connection of its own.
    assert!(upstream.connections() <= 1 + 50 / 4, "{}", upstream.connections());
}

#[test]
fn connections_are_reused_after_responses_without_a_body() {
    for status in [204, 304, 404] {
        let upstream = Upstream::start([ScriptedResponse::status(status)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        for request in [GET, POST, GET] {
            assert_eq!(proxy.exchange(request).status(), status);
        }
        let head = "HEAD /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(proxy.exchange(head).status(), status);
        assert_eq!(upstream.connections(), 1, "{status}");
    }
}

#[test]
fn no_request_is_lost_if_each_connection_is_closed_after_its_response() {
    for close in ["close", "Close", "x, close"] {
        let response = ScriptedResponse::new(200, &[("Connection", close)], "up").then_close();
        let upstream = Upstream::start([response]);
        assert_eq!(requests_lost_by(&upstream, 50), 0);
        assert_eq!(upstream.requests().len(), 50);
    }
}

#[test]
fn no_request_is_lost_if_idle_connections_are_closed_without_notice() {
    let upstream = Upstream::start([ScriptedResponse::ok("up").then_close()]);
    assert_eq!(requests_lost_by(&upstream, 50), 0);
    assert_eq!(upstream.requests().len(), 50);
}

#[test]
fn no_request_is_lost_if_idle_connections_are_reset() {
    let upstream = Upstream::start([ScriptedResponse::ok("up").then_reset()]);
    assert_eq!(requests_lost_by(&upstream, 50), 0);
    assert_eq!(upstream.requests().len(), 50);
}

#[test]
fn no_request_is_lost_if_every_other_one_is_sent_on_a_connection_that_is_reset() {
    // The upstream reads the header section before it closes: it may have processed the request.
    let upstream = Upstream::start(|request: &Request| match request.index % 2 {
        0 => ScriptedResponse::ok("up"),
        _ => ScriptedResponse::nothing().before_body().then_reset(),
    });
    assert_eq!(requests_lost_by(&upstream, 12), 0);
}

#[test]
fn concurrent_requests_reuse_their_connections() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for _ in 0..5 {
        let mut clients = [(); 10].map(|()| proxy.connect());
        clients.iter_mut().for_each(|client| client.send(GET));
        assert!(clients.iter_mut().map(Connection::response).all(|it| it.status() == 200));
    }
    assert!(upstream.connections() <= 10, "{}", upstream.connections());
}

#[test]
fn a_connection_with_bytes_after_the_response_is_not_reused() {
    let two = "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nupHTTP/1.1 200 \r\n\r\nnot asked for";
    let upstream = Upstream::start([ScriptedResponse::bytes(two)]);
    assert_eq!(requests_lost_by(&upstream, 10), 0);
}

/// Sends `count` requests, one after the other, over one connection to the proxy, and returns how many
/// of them do not get the response `up`.
fn requests_lost_by(upstream: &Upstream, count: usize) -> usize {
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    let requests = [GET, POST, CHUNKED, DELETE].into_iter().cycle().take(count);
    let lost = requests.filter(|request| {
        client.send(request);
        let response = client.response();
        (response.status(), response.text(), response.complete) != (200, "up", true)
    });
    lost.count()
}
