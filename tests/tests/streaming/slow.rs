//! Slow transfers never time out: timeouts are for header sections and idle connections
//! (docs/compatibility.md, F6).

use std::time::Duration;
use support::http1::Body;
use support::{Connection, Latch, Proxy, Request, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
/// All timeouts, as short as a slow machine allows.
const TIMEOUTS: [&str; 4] = ["--head-timeout", "0.5", "--upstream-idle-timeout", "0.5"];

#[test]
fn an_upstream_may_send_one_byte_per_second() {
    let second = Duration::from_secs(1);
    let bodies = [
        ("Content-Length: 2", "up", ""),
        ("Transfer-Encoding: chunked", "2\r\nup\r\n", "0\r\n\r\n"),
    ];
    let clients = bodies.map(|(framing, slow, rest)| {
        let head = format!("HTTP/1.1 200 \r\n{framing}\r\n\r\n");
        let upstream =
            Upstream::start([ScriptedResponse::bytes(head).then_trickle(slow, second).then(rest)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).args(TIMEOUTS).start();
        let mut client = proxy.connect();
        client.send(GET);
        (client, proxy, upstream)
    });
    for (mut client, _proxy, _upstream) in clients {
        let response = client.response();
        assert_eq!((response.text(), response.complete), ("up", true));
    }
}

#[test]
fn an_upstream_may_stall_in_a_response() {
    let latches = [(); 3].map(|()| Latch::new());
    let response =
        ScriptedResponse::nothing().then_wait(&latches[0]).then("HTTP/1.1 200 \r\nContent-");
    let response =
        response.then_wait(&latches[1]).then("Length: 2\r\n\r\nu").then_wait(&latches[2]);
    let upstream = Upstream::start([response.then("p")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(TIMEOUTS).start();
    let mut client = proxy.connect();
    client.send(GET);
    for latch in latches {
        wait_for_the_head_timeout(&proxy);
        latch.open();
    }
    let response = client.response();
    assert_eq!((response.text(), response.complete), ("up", true));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_may_stall_in_an_upload() {
    for (framing, parts) in [
        ("Content-Length: 9", ["fir", "stla", "st"]),
        ("Transfer-Encoding: chunked", ["5\r\nfir", "st\r\n4\r", "\nlast\r\n0\r\n\r\n"]),
    ] {
        let upstream = Upstream::start([ScriptedResponse::ok("up")]);
        let proxy = Proxy::in_front_of(upstream.root_url()).args(TIMEOUTS).start();
        let mut client = proxy.connect();
        client.send(format!("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
        for part in parts {
            wait_for_the_head_timeout(&proxy);
            client.send(part);
        }
        assert_eq!(client.response().text(), "up");
        let [request] = upstream.requests().try_into().unwrap();
        assert_eq!((request.body.as_slice(), request.complete), (&b"firstlast"[..], true));
    }
}

#[test]
fn a_client_may_stall_in_a_download() {
    const LENGTH: u64 = 64 * 1024 * 1024;
    let upstream = Upstream::start([ScriptedResponse::large(LENGTH)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(TIMEOUTS).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut body = Body::of_response(&client.head(), "GET");
    for _ in 0..3 {
        wait_for_the_head_timeout(&proxy);
        let data = client.body_data(&mut body).unwrap();
        assert!(data.is_some());
    }
    let rest = client.body_length(&mut body);
    assert!(rest < LENGTH && rest > LENGTH / 2, "{rest} bytes");
}

#[test]
fn five_hundred_requests_can_wait_for_their_responses() {
    let latch = Latch::new();
    let upstream = Upstream::start({
        let latch = latch.clone();
        move |request: &Request| match request.target() {
            "/api/a/v1/slow" => ScriptedResponse::nothing().then_wait(&latch).then(UP),
            _ => ScriptedResponse::bytes(UP),
        }
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut clients: Vec<Connection> = (0..500).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("PUT /a/v1/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    }
    upstream.wait_for_requests(500);
    assert_eq!(proxy.exchange(GET).text(), "up");
    latch.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "up");
    }
}

const UP: &str = "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nup";

/// Waits as long as `--head-timeout`: until an idle client has timed out.
fn wait_for_the_head_timeout(proxy: &Proxy) {
    assert_eq!(proxy.connect().read_to_end(), b"");
}
