//! Malformed requests: each gets a 4xx or its connection is closed, nothing is forwarded, and other
//! requests are served as before.

use support::{Connection, Proxy, Request, ScriptedResponse, Upstream, request};

#[test]
fn invalid_request_lines_are_rejected() {
    assert_rejected(
        [
            &b"\0\0\0\0"[..],
            b"GET",
            b"GET /api/queue/v1/x",
            b"GET  /api/queue/v1/x HTTP/1.1",
            b"GET /api/queue/v1/x y HTTP/1.1",
            b"GET /api/queue/v1/\0 HTTP/1.1",
            b"GET /api/queue/v1/\x7f HTTP/1.1",
            b"GET /api/queue/v1/\xff HTTP/1.1",
            b"GET api/queue/v1/x HTTP/1.1",
            b"GET http:///api/queue/v1/x HTTP/1.1",
            b"GET /api/queue/v1/x HTTP/1.2",
            b"GET /api/queue/v1/x HTTP/2.0",
            b"GET /api/queue/v1/x HTTP/0.9",
            b"GET /api/queue/v1/x http/1.1",
            b"G(T /api/queue/v1/x HTTP/1.1",
            b"\rGET /api/queue/v1/x HTTP/1.1",
            b"EHLO mail.example.com",
        ]
        .map(|line| [line, b"\r\nHost: x\r\n\r\n"].concat()),
    );
}

#[test]
fn http_0_9_and_2_and_tls_are_rejected() {
    let client_hello =
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03abcdefghijklmnopqrstuvwxyz012345\
                         \x00\x00\x04\x13\x01\x13\x02\x01\x00";
    assert_rejected([
        b"GET /api/queue/v1/x\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        client_hello.to_vec(),
    ]);
}

#[test]
fn invalid_header_fields_are_rejected() {
    assert_rejected(
        [
            &b"X\r\n"[..],
            b": x\r\n",
            b"X : y\r\n",
            b" X: y\r\n",
            b"X\xe9: y\r\n",
            b"X: \0\r\n",
            b"X: a\x08b\r\n",
            b"X: a\rb\r\n",
            b"X: a\r\n folded: b\r\n",
            b"X: a\r\n\tb\r\n",
        ]
        .map(|headers| [b"GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n", headers, b"\r\n"].concat()),
    );
}

#[test]
fn header_sections_that_are_too_large_are_rejected() {
    let start = "GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n";
    assert_rejected([
        format!("GET /api/queue/v1/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(300_000))
            .into_bytes(),
        format!("GET /{}", "x".repeat(300_000)).into_bytes(),
        "x".repeat(300_000).into_bytes(),
        format!("{start}X: {}\r\n\r\n", "y".repeat(300_000)).into_bytes(),
        format!("{start}{}\r\n", "X: y\r\n".repeat(200)).into_bytes(),
    ]);
}

#[test]
fn invalid_framing_fields_are_rejected() {
    assert_rejected(
        [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 4, 5\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +4\r\n",
            "Content-Length: 0x4\r\n",
            "Content-Length: \r\n",
            "Content-Length: 4 4\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding:\r\n",
        ]
        .map(put),
    );
}

#[test]
fn unsupported_transfer_codings_are_rejected() {
    assert_rejected(
        [
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
        ]
        .map(put),
    );
    assert_rejected([
        b"PUT /api/queue/v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
    ]);
}

/// The header section has been forwarded by then; the request must not look complete to the upstream.
#[test]
fn a_body_with_invalid_chunks_never_looks_complete() {
    for chunks in [
        "x\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2 2\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "10000000000000000\r\nab\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF0\r\nab\r\n0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2\r\nab\r\n0\r\nno trailer\r\n\r\n",
    ] {
        let upstream = Upstream::start([ScriptedResponse::ok("never")]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut connection = proxy.connect();
        connection.send(format!(
            "PUT /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        assert_is_rejection(&mut connection, chunks.as_bytes());
        assert!(upstream.requests().iter().all(|request| !request.complete), "{chunks:?}");
    }
}

#[test]
fn a_repeated_content_length_is_forwarded_once() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange(put("Content-Length: 4\r\nContent-Length: 4\r\n"));
    assert_eq!(response.status(), 200);
    assert_eq!(upstream.last_request().head.all("content-length"), ["4"]);
}

/// RFC 9112 section 2.2 allows bare line feeds; they must be forwarded as `\r\n`.
#[test]
fn bare_line_feeds_end_lines_or_are_rejected() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange("GET /api/queue/v1/x HTTP/1.1\nHost: x\nX: a\nY: b\r\n\n");
    match response.status() {
        200 => {
            let request = upstream.last_request();
            assert_eq!((request.header("x"), request.header("y")), (Some("a"), Some("b")));
            assert!(!request.head.bytes().windows(2).any(|two| two[0] != b'\r' && two[1] == b'\n'));
        }
        status => assert!((400..500).contains(&status), "{status}"),
    }
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let upstream = Upstream::start(|request: &Request| ScriptedResponse::ok(request.target()));
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    let requests = [
        request("GET", "/api/queue/v1/one", ""),
        request("PUT", "/api/queue/v1/two", "body"),
        request("GET", "/nowhere", ""),
        request("GET", "/api/queue/v1/three", ""),
    ];
    connection.send(requests.concat());
    let responses = [(); 4].map(|()| connection.response());
    let expected = [200, 200, 404, 200];
    assert_eq!(responses.each_ref().map(|response| response.status()), expected);
    let targets = ["/api/queue/v1/one", "/api/queue/v1/two", "/api/queue/v1/three"];
    assert_eq!([&responses[0], &responses[1], &responses[3]].map(|it| it.text()), targets);
    assert_eq!(upstream.requests().iter().map(Request::target).collect::<Vec<_>>(), targets);
}

#[test]
fn bytes_after_an_unread_body_are_not_a_request() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    let smuggled = String::from_utf8(request("GET", "/api/queue/v1/smuggled", "")).unwrap();
    // The proxy responds before it reads the body.
    connection.send(request("PUT", "/nowhere", smuggled));
    assert_eq!(connection.response().status(), 404);
    if connection.try_send(request("GET", "/api/queue/v1/next", "")).is_ok() {
        connection.finish_sending();
        connection.read_to_end();
    }
    assert_served(&proxy);
    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.target() != "/api/queue/v1/smuggled"));
}

#[test]
fn clients_that_disconnect_in_a_header_section_affect_no_other_request() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let request = "GET /api/queue/v1/cut HTTP/1.1\r\nHost: x\r\n\r";
    for length in 1..=request.len() {
        let mut connection = proxy.connect();
        connection.send(&request[..length]);
        match length % 2 {
            0 => connection.reset(),
            _ => {
                connection.finish_sending();
                connection.read_to_end();
            }
        }
    }
    assert_served(&proxy);
    assert_eq!(upstream.requests().len(), 1);
}

fn put(framing: &str) -> Vec<u8> {
    let start = "PUT /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n";
    format!("{start}{framing}\r\n4\r\nbody\r\n0\r\n\r\n").into_bytes()
}

/// Fails unless each request gets a 4xx or its connection is closed, none is forwarded, and a connection
/// that was open all the time is served as before.
fn assert_rejected(requests: impl IntoIterator<Item = Vec<u8>>) {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut other = proxy.connect();
    for bad in requests {
        let mut connection = proxy.connect();
        // The proxy may reject it before all of it is sent.
        let _ = connection.try_send(&bad);
        assert_is_rejection(&mut connection, &bad);
        assert_eq!(upstream.requests().len(), 0, "{}", shown(&bad));
    }
    other.send(request("GET", "/api/queue/v1/x", ""));
    assert_eq!(other.response().status(), 200);
}

fn assert_is_rejection(connection: &mut Connection, bad: &[u8]) {
    if let Some(head) = connection.head_or_end() {
        assert!(head.start_line().starts_with("HTTP/1.1 4"), "{}: {head:?}", shown(bad));
    }
}

fn assert_served(proxy: &Proxy) {
    assert_eq!(proxy.get("/api/queue/v1/after").status(), 200);
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).escape_debug().to_string()
}
