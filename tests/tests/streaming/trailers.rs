//! Trailers are forwarded in both directions, to recipients that ask for them (RFC 9110 section 6.5).

use support::{Connection, Proxy, Request, Response, ScriptedResponse, Tls, Upstream};

#[test]
fn trailers_of_a_response_are_forwarded_if_the_client_asks_for_them() {
    for te in ["trailers", "gzip;q=0.5, Trailers", "gzip\r\nTE: trailers"] {
        let upstream = Upstream::start(trailers_if_asked);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        for _ in 0..3 {
            let response = get(&mut client, "/queue/v1/x", &format!("Connection: TE\r\nTE: {te}"));
            assert_eq!(
                (response.text(), trailers(&response.trailers)),
                ("up", "x-sum: 1\r\n".into())
            );
        }
        let request = upstream.last_request();
        assert_eq!(request.head.all("te"), ["trailers"], "other codings are for one hop only");
        let connection = request.head.all("connection");
        assert!(
            matches!(connection[..], [one] if one.eq_ignore_ascii_case("te")),
            "{connection:?}"
        );
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn an_upstream_is_not_asked_for_trailers_unless_the_client_asks_for_them() {
    let upstream = Upstream::start(trailers_if_asked);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    for header in ["X-None: 1", "TE: gzip"] {
        let response = get(&mut client, "/queue/v1/x", header);
        assert_eq!((response.text(), response.complete), ("up", true));
        assert_eq!(upstream.last_request().header("te"), None);
        assert_eq!(upstream.last_request().header("connection"), None);
    }
}

#[test]
fn trailers_are_dropped_unless_the_client_asks_for_them() {
    let upstream = Upstream::start([with_trailers()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    for _ in 0..3 {
        let response = get(&mut client, "/queue/v1/x", "X-None: 1");
        assert_eq!((response.text(), response.complete), ("up", true));
        assert_eq!(trailers(&response.trailers), "");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn trailers_of_a_response_over_http2_are_forwarded() {
    let upstream = Upstream::start(trailers_if_asked);
    let tls = Tls::for_host("files.example.test").behind_proxy().http2().start(&upstream);
    let proxy = tls.proxy().start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        let response = get(&mut client, "/files.example.test/x", "TE: trailers");
        assert_eq!((response.text(), trailers(&response.trailers)), ("up", "x-sum: 1\r\n".into()));
        assert_eq!(upstream.last_request().head.all("te"), ["trailers"]);
    }
}

#[test]
fn trailers_of_a_request_are_sent_with_each_attempt() {
    let upstream = Upstream::start(fails_at_first);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    assert_request_trailers_forwarded(&proxy, &upstream, "/queue/v1/x");
}

#[test]
fn trailers_of_a_request_are_forwarded_over_http2() {
    let upstream = Upstream::start(fails_at_first);
    let tls = Tls::for_host("files.example.test").behind_proxy().http2().start(&upstream);
    assert_request_trailers_forwarded(&tls.proxy().start(), &upstream, "/files.example.test/x");
}

fn assert_request_trailers_forwarded(proxy: &Proxy, upstream: &Upstream, target: &str) {
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(format!(
            "PUT {target} HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!((response.status(), response.header("connection")), (200, None));
    }
    let requests = upstream.wait_for_requests(3);
    for request in requests {
        assert_eq!((request.body.as_slice(), request.complete), (&b"body"[..], true));
        assert_eq!(trailers(&request.trailers), "x-sum: 1\r\n");
    }
}

/// Sends trailers only if the request asks for them, as RFC 9110 section 6.5.1 requires.
fn trailers_if_asked(request: &Request) -> ScriptedResponse {
    if request.header("te") == Some("trailers") {
        with_trailers()
    } else {
        ScriptedResponse::ok("up")
    }
}

fn with_trailers() -> ScriptedResponse {
    let head = "HTTP/1.1 200 \r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    ScriptedResponse::bytes(head).then_chunk("up").then("0\r\nx-sum: 1\r\n\r\n")
}

fn fails_at_first(request: &Request) -> ScriptedResponse {
    if request.index == 0 { ScriptedResponse::status(503) } else { ScriptedResponse::status(200) }
}

fn get(client: &mut Connection, target: &str, header: &str) -> Response {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n"));
    client.response()
}

/// The trailers as text, with names in lower case.
fn trailers(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}
