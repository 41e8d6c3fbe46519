//! Floods of connections, requests, chunks, interim responses and header sections: beyond the limit they
//! get an error, memory stays bounded, and other requests are served.
#![cfg(target_os = "linux")] // Memory and descriptors are read from /proc.

use std::time::Instant;
use support::http1::Body;
use support::{
    Connection, DEADLINE, Latch, Proxy, Request, Response, ScriptedResponse, Upstream, request,
};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
const MIB: u64 = 1024 * 1024;

#[test]
fn connections_beyond_the_limit_get_503() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--max-connections", "3"]).start();
    let mut served = [(); 3].map(|()| proxy.connect());
    for client in &mut served {
        client.send(GET);
        assert_eq!(client.response().text(), "up");
    }
    for _ in 0..10 {
        let mut refused = proxy.connect();
        refused.send(request("PUT", "/api/queue/v1/x", "body"));
        let response = refused.response();
        let message = response.assert_error(503, "Busy");
        assert!(
            message.contains("3 connections") && message.contains("--max-connections"),
            "{message}"
        );
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(refused.read_to_end(), b"");
    }
    for client in &mut served {
        client.send(GET);
        assert_eq!(client.response().text(), "up");
    }
    // When one is closed, another one is served.
    let [first, ..] = served;
    first.reset();
    let response = until("room", || proxy.exchange(GET), |response| response.status() != 503);
    assert_eq!(response.text(), "up");
    proxy.wait_for_log("no room for more than 3");
    let refused = proxy.log().matches("no room for more than 3").count();
    assert_eq!(refused, 1, "one line for one burst");
}

#[test]
fn a_flood_of_connections_leaves_nothing_behind() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--max-connections", "20"]).start();
    let before = proxy.descriptors();
    let mut served = proxy.connect();
    served.send(GET);
    assert_eq!(served.response().text(), "up");
    let mut flood: Vec<Connection> = (0..300).map(|_| proxy.connect()).collect();
    for client in &mut flood {
        // Rejected connections may be closed already.
        let _ = client.try_send(GET);
    }
    served.send(GET);
    assert_eq!(served.response().text(), "up");
    // One descriptor for each connection that is served or rejected, and for each upstream connection.
    assert!(proxy.descriptors() < before + 2 * 20 + 40, "{}", proxy.descriptors());
    drop((flood, served));
    proxy.wait_for_descriptors(before + 20);
    assert_eq!(proxy.exchange(GET).text(), "up");
}

/// Connections that send nothing are closed to make room for those that do.
#[test]
fn silent_connections_beyond_the_limit_do_not_delay_the_503_of_others() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--max-connections", "4"]).start();
    let mut served = [(); 4].map(|()| proxy.connect());
    for client in &mut served {
        client.send(GET);
        assert_eq!(client.response().text(), "up");
    }
    let start = Instant::now();
    let silent: Vec<Connection> = (0..300).map(|_| proxy.connect()).collect();
    // With part of a header section a connection is as good as silent.
    let partial = (0..20).map(|_| {
        let mut client = proxy.connect();
        client.send(&GET[..20]);
        client
    });
    let partial: Vec<Connection> = partial.collect();
    let requests = (0..30).map(|_| {
        let mut client = proxy.connect();
        client.send(GET);
        client
    });
    for mut client in requests.collect::<Vec<_>>() {
        client.response().assert_error(503, "Busy");
    }
    // Each silent one alone would take up to a second.
    assert!(start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    drop((silent, partial));
}

/// Many incomplete header sections together do not keep other clients from being served.
#[test]
fn slow_header_sections() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--head-timeout", "2"]).start();
    let mut slow: Vec<Connection> = (0..200).map(|_| proxy.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        client.send(&GET[..1 + number % (GET.len() - 1)]);
    }
    assert_eq!(proxy.exchange(GET).text(), "up");
    // The timeout is for the whole header section: more bytes do not extend it.
    for client in &mut slow {
        let _ = client.try_send("X");
    }
    for client in &mut slow {
        let received = client.read_to_end();
        assert!(received.is_empty() || received.starts_with(b"HTTP/1.1 4"), "{received:?}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn slow_bodies_delay_no_other_client() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut slow: Vec<Connection> = (0..100).map(|_| proxy.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        let target = ["/api/queue/v1/x", "/bewit", "/credentials"][number % 3];
        let method = ["PUT", "POST", "PUT"][number % 3];
        let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n");
        client.send(head + "Content-Length: 60000\r\n\r\n{");
    }
    upstream.wait_for("the header section of each upload", |requests| {
        (requests.len() == 34).then_some(())
    });
    // Other requests do not wait for them.
    assert_eq!(proxy.exchange(GET).text(), "up");
    assert!(proxy.memory() < 32 * MIB, "{}", proxy.memory());
    drop(slow);
    upstream.wait_for_closed_connections(34);
}

/// An update of the credentials does not wait for the rest of a URL to sign.
#[test]
fn an_incomplete_bewit_request_does_not_delay_updates() {
    let proxy =
        Proxy::in_front_of("http://127.0.0.1:1").args(["--credentials-drain", "3600"]).start();
    let mut half = proxy.connect();
    half.send("POST /bewit HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhttps://");
    // The proxy has one thread: with this response it has read the incomplete request, too.
    assert_eq!(proxy.call("GET", "/nowhere", "").status(), 404);
    let new = r#"{"clientId":"new","accessToken":"t"}"#;
    assert_eq!(proxy.call("PUT", "/credentials", new).status(), 200);
    half.send([b'x'; 92]);
    let response = half.response();
    assert_eq!(response.header("x-taskcluster-proxy-perm-clientid"), Some("new"));
}

#[test]
fn large_bodies_to_the_proxy_itself_are_limited() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    let mut large: Vec<Connection> = (0..64).map(|_| proxy.connect()).collect();
    for client in &mut large {
        client.send("PUT /credentials HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
        // The proxy rejects most of them before all of it is sent.
        let _ = client.try_send(vec![b' '; 1_000_000]);
    }
    // When enough of the bodies has been received, another large one is rejected.
    let padding = " ".repeat(100_000);
    let large_body = format!(r#"{{"clientId":"large","accessToken":"t"}}{padding}"#);
    let put = || proxy.call("PUT", "/credentials", &large_body);
    let busy = until("a 503", put, |response| response.status() == 503);
    assert!(busy.assert_error(503, "Busy").contains("64 KiB"));
    assert!(proxy.peak_memory() < 48 * MIB, "{}", proxy.peak_memory());
    // Bodies of the usual size are accepted meanwhile.
    let new = r#"{"clientId":"new","accessToken":"t"}"#;
    assert_eq!(proxy.call("PUT", "/credentials", new).status(), 200);
    drop(large);
    until("a 200", put, |response| response.status() == 200);
}

#[test]
fn chunks_of_one_byte() {
    const COUNT: usize = 200_000;
    let upstream =
        Upstream::start([ScriptedResponse::ok("up"), ScriptedResponse::chunked(vec!["x"; 20_000])]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("1\r\nx\r\n".repeat(COUNT));
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[0].body_length, COUNT as u64);
    client.send(GET);
    let response = client.response();
    assert_eq!((response.body.len(), response.complete), (20_000, true));
    assert!(proxy.peak_memory() < 48 * MIB, "{}", proxy.peak_memory());
}

#[test]
fn endless_chunk_lines_and_trailers() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let start = "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (line, field) = ("1;x=".to_owned() + &"y".repeat(1 << 20), "X: y\r\n".repeat(1 << 18));
    for endless in [line, format!("0\r\n{field}"), format!("0\r\nX: {field:?}")] {
        let mut client = proxy.connect();
        // The proxy rejects it before all of it is sent.
        let _ = client.try_send([start, &endless].concat());
        if let Some(head) = client.head_or_end() {
            assert!(head.start_line().starts_with("HTTP/1.1 4"), "{head:?}");
        }
    }
    assert!(upstream.requests().iter().all(|request| !request.complete));
    assert!(proxy.peak_memory() < 48 * MIB, "{}", proxy.peak_memory());
    assert_eq!(proxy.exchange(GET).text(), "up");
}

#[test]
fn endless_interim_responses() {
    for interim in
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
    {
        let upstream = Upstream::start(move |request: &Request| match request.target() {
            "/api/queue/v1/other" => ScriptedResponse::ok("up"),
            _ => ScriptedResponse::bytes(interim.repeat(1_000_000 / interim.len())).then_stall(),
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let message = proxy.exchange(GET).assert_error(502, "UpstreamUnreachable");
        assert!(message.contains("interim"), "{message}");
        assert_eq!(upstream.requests().len(), 1, "it is not retried");
        assert_eq!(proxy.get("/api/queue/v1/other").text(), "up");
    }
}

#[test]
fn a_few_interim_responses_are_not_forwarded() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    let response =
        ScriptedResponse::bytes(interim).then("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nup");
    let upstream = Upstream::start([response]);
    assert_eq!(Proxy::in_front_of(upstream.root_url()).start().exchange(GET).text(), "up");
}

#[test]
fn many_of_the_largest_header_sections_at_once() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let head = format!("GET /a/v1/b HTTP/1.1\r\nHost: x\r\nX: {}\r\n", "y".repeat(70 * 1024));
    let mut clients: Vec<Connection> = (0..100).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&head));
    assert_eq!(proxy.exchange(GET).text(), "up");
    clients.iter_mut().for_each(|client| client.send("\r\n"));
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert!(proxy.peak_memory() < 64 * MIB, "{}", proxy.peak_memory());
}

#[test]
fn endless_empty_lines_are_rejected() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    let mut client = proxy.connect();
    let _ = client.try_send("\r\n".repeat(1 << 20));
    assert!(client.head_or_end().is_none_or(|head| head.start_line().starts_with("HTTP/1.1 4")));
    assert_eq!(proxy.get("/nowhere").status(), 404);
}

#[test]
fn a_client_that_pipelines_and_disconnects_cancels_its_requests() {
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for disconnect in [drop, Connection::reset] {
        let before = upstream.requests().len();
        let mut client = proxy.connect();
        client.send(GET.repeat(20));
        upstream.wait_for("the first", |requests| (requests.len() > before).then_some(()));
        disconnect(client);
        upstream.wait_for_closed_connections(before + 1);
        assert_eq!(upstream.requests().len(), before + 1);
    }
}

#[test]
fn a_client_that_disconnects_during_a_blocked_upload_cancels_it() {
    for response in [
        ScriptedResponse::nothing().before_body().then_wait(&Latch::new()),
        ScriptedResponse::ok("early").before_body().then_wait(&Latch::new()),
    ] {
        let upstream = Upstream::start([response]);
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--replay-buffer", "0"]).start();
        let before = proxy.descriptors();
        let mut client = proxy.connect();
        client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
        upstream.wait_for("the header section", |requests| (requests.len() == 1).then_some(()));
        client.send_until_blocked();
        let start = Instant::now();
        client.reset();
        proxy.wait_for_descriptors(before);
        // Otherwise the upstream would have closed the connection.
        assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
    }
}

/// The responses are not read, so the proxy stops reading requests and holds only a few of them.
#[test]
fn a_client_that_pipelines_and_does_not_read_is_not_read_from() {
    let upstream = Upstream::start([ScriptedResponse::large(4 * MIB)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(GET.repeat(100));
    let mut body = Body::of_response(&client.head(), "GET");
    client.body_until(&mut body, "");
    assert!(upstream.requests().len() <= 2);
    assert!(proxy.peak_memory() < 32 * MIB, "{}", proxy.peak_memory());
}

/// Repeats a request until the response is the expected one.
pub(crate) fn until(
    what: &str,
    send: impl Fn() -> Response,
    is_expected: impl Fn(&Response) -> bool,
) -> Response {
    let start = Instant::now();
    loop {
        let response = send();
        if is_expected(&response) {
            return response;
        }
        assert!(start.elapsed() < DEADLINE, "expected {what}, found {response:?}");
    }
}
