//! Requirements of RFC 9110 and RFC 9112 for servers and intermediaries. No request that is rejected
//! here reaches an upstream.

use std::time::{Duration, SystemTime};
use support::{Proxy, ProxyBuilder, Request, Response, ScriptedResponse, Tls, Upstream, request};

/// RFC 9112 section 3.2.
#[test]
fn a_request_without_a_host_is_a_400() {
    let setup = Setup::start();
    assert_eq!(setup.assert_not_forwarded("GET /api/queue/v1/x HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(
        setup.assert_not_forwarded("GET /api/queue/v1/x HTTP/1.1\r\nX-Host: x\r\n\r\n"),
        400
    );
    assert_eq!(setup.assert_not_forwarded("GET http://x/api/queue/v1/x HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(
        setup.assert_not_forwarded(
            "POST /bewit HTTP/1.1\r\nContent-Length: 16\r\n\r\nhttps://x.test/y"
        ),
        400
    );
}

#[test]
fn a_request_with_two_hosts_is_a_400() {
    let setup = Setup::start();
    for hosts in [
        "Host: a\r\nHost: b",
        "Host: a\r\nHost: a",
        "Host: a\r\nX: y\r\nhost: a",
        "Host:\r\nHost: a",
    ] {
        for version in ["1.0", "1.1"] {
            let start = format!("GET /api/queue/v1/x HTTP/{version}");
            assert_eq!(
                setup.assert_not_forwarded(&format!("{start}\r\n{hosts}\r\n\r\n")),
                400,
                "{hosts:?}"
            );
        }
    }
}

#[test]
fn a_request_with_a_malformed_host_is_a_400() {
    let setup = Setup::start();
    for host in [
        "no host at all",
        "a b",
        "a, b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "http://a",
        "a:b",
        "a:1:2",
        "a:-1",
        "[::1",
        "::1",
        "[::1]a",
        "[a b]",
        "a\"b",
        "<a>",
        "a\\b",
        "a^b",
        "{a}",
        "a|b",
        "a`b",
        "%",
        "%zz",
        "\u{e9}",
    ] {
        let text = format!("GET /api/queue/v1/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(setup.assert_not_forwarded(&text), 400, "{host:?}");
    }
}

/// RFC 9110 section 6.6.1.
#[test]
fn a_response_without_a_date_gets_one() {
    let upstream = Upstream::start([
        ScriptedResponse::ok("up"),
        ScriptedResponse::chunked(["up"]),
        ScriptedResponse::status(404),
    ]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let responses = [
        proxy.get("/queue/v1/x"),
        proxy.get("/queue/v1/x"),
        proxy.get("/queue/v1/x"),
        proxy.get("/nowhere"),
        proxy.call("POST", "/bewit", "https://tc.example.com/x"),
        proxy.call("PUT", "/credentials", "{}"),
    ];
    for response in responses {
        let [date] = response.head.all("date")[..] else {
            panic!("not one Date: {:?}", response.head);
        };
        let date = httpdate::parse_http_date(date).expect("a Date is a date");
        let age = SystemTime::now().duration_since(date).unwrap_or_default();
        assert!(age < Duration::from_secs(60), "{age:?}");
    }
}

#[test]
fn the_date_of_the_upstream_is_kept() {
    const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
    let upstream = Upstream::start([ScriptedResponse::new(200, &[("Date", DATE)], "up")]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/queue/v1/x");
    assert_eq!(response.head.all("date"), [DATE]);
}

/// An upstream that responds to TRACE repeats the request, and would reveal the signature to the task.
#[test]
fn trace_is_a_405_and_is_never_forwarded() {
    let setup = Setup::start();
    for target in [
        "/api/queue/v1/x",
        "/queue/v1/x",
        "/files.example.test/x",
        "http://taskcluster/api/queue/v1/x",
        "/bewit",
        "/credentials",
    ] {
        let text = format!("TRACE {target} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 5\r\n\r\n");
        assert_eq!(setup.assert_not_forwarded(&text), 405, "{target}");
    }
}

#[test]
fn a_rejected_connect_closes_the_connection() {
    let setup = Setup::start();
    for target in ["tc.example.com:443", "/api/queue/v1/x"] {
        for framing in ["", "Content-Length: 4\r\n", "Connection: keep-alive\r\n"] {
            let text = format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n");
            assert_eq!(setup.assert_not_forwarded_and_closed(&text), 405, "{text:?}");
        }
    }
}

/// The end of the body is ambiguous: bytes after it are not read as a request (RFC 9112 section 6.3).
#[test]
fn after_a_transfer_encoding_other_than_chunked_alone_no_further_request_is_read() {
    let setup = Setup::start();
    for fields in [
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: x",
        "Transfer-Encoding:",
        "Transfer-Encoding: identity\r\nContent-Length: 0",
        "Content-Length: 0\r\nTransfer-Encoding: identity",
    ] {
        for method in ["GET", "POST"] {
            for target in ["/api/queue/v1/x", "/files.example.test/x", "/bewit", "/nowhere"] {
                let text = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
                assert_eq!(setup.assert_not_forwarded_and_closed(&text), 400, "{text:?}");
            }
        }
    }
}

/// The target of `/queue/v1/x` if `TASKCLUSTER_PROXY_URL` ends in a slash.
#[test]
fn a_path_that_begins_with_two_slashes_is_a_404_with_the_reason() {
    let setup = Setup::start();
    for target in [
        "//",
        "//x",
        "//api/queue/v1/x",
        "//queue/v1/x",
        "//files.example.test/x",
        "//bewit",
        "///api/queue/v1/x",
        "http://taskcluster//api/queue/v1/x",
    ] {
        let message = setup.proxy.get(target).assert_error(404, "ResourceNotFound");
        assert!(message.contains("two slashes"), "{target}: {message}");
    }
    assert_eq!(setup.upstream.connections(), 0);
}

/// Not even on a reused connection, which the upstream may have closed before it read the request.
#[test]
fn with_a_retry_budget_of_0_nothing_is_sent_twice() {
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for end in [ScriptedResponse::then_close, ScriptedResponse::then_reset] {
            let upstream = Upstream::start(move |request: &Request| match request.index {
                0 => ScriptedResponse::ok("up"),
                _ => end(ScriptedResponse::nothing()),
            });
            let (_tls, proxy) = with_tls_host(&upstream);
            let with_tls_host = proxy.args(["--retry-budget", "0"]).start();
            assert_sent_once(&with_tls_host, &upstream, method, "/files.example.test/x");

            let upstream = Upstream::start(move |request: &Request| match request.index {
                0 => ScriptedResponse::ok("up"),
                _ => end(ScriptedResponse::nothing()),
            });
            let once = ["--retry-budget", "0"];
            let plain = Proxy::in_front_of(upstream.root_url()).args(once).start();
            assert_sent_once(&plain, &upstream, method, "/queue/v1/x");
        }
    }
}

#[test]
fn with_a_retry_budget_of_0_no_request_is_lost_to_a_connection_that_was_closed_while_idle() {
    let upstream = Upstream::start([ScriptedResponse::ok("up").then_close()]);
    let once = ["--retry-budget", "0"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(once).start();
    for count in 1..=20 {
        assert_eq!(proxy.call("POST", "/queue/v1/x", "body").text(), "up");
        upstream.wait_for_closed_connections(count);
    }
    assert_eq!(upstream.requests().len(), 20);
}

fn assert_sent_once(proxy: &Proxy, upstream: &Upstream, method: &str, target: &str) {
    assert_eq!(proxy.get(target).text(), "up");
    let body = if method == "GET" { "" } else { "body" };
    let response = proxy.call(method, target, body);
    response.assert_error(502, "UpstreamUnreachable");
    let sent: Vec<_> = upstream.requests().iter().map(|request| request.complete).collect();
    assert_eq!(sent, [true; 2], "{method} {target}");
}

/// A proxy and an upstream for many requests that are rejected, each over a connection of its own.
struct Setup {
    upstream: Upstream,
    proxy: Proxy,
    /// The forward proxy through which hosts by name would be reached.
    _tls: Tls,
}

impl Setup {
    fn start() -> Self {
        let upstream = Upstream::start([ScriptedResponse::ok("forwarded")]);
        let (tls, proxy) = with_tls_host(&upstream);
        let proxy = proxy.env("TASKCLUSTER_ROOT_URL", upstream.root_url()).start();
        Self { upstream, proxy, _tls: tls }
    }

    /// Sends a request and returns the status; fails if any of it is forwarded.
    fn assert_not_forwarded(&self, text: &str) -> u16 {
        let mut client = self.proxy.connect();
        client.send(text);
        self.status(text, &client.response())
    }

    /// Like [`assert_not_forwarded`](Self::assert_not_forwarded); also fails unless the connection is
    /// closed without reading a further request.
    fn assert_not_forwarded_and_closed(&self, text: &str) -> u16 {
        let mut client = self.proxy.connect();
        // The proxy may close the connection before all of that is sent.
        let _ = client.try_send([text.as_bytes(), &request("GET", "/queue/v1/next", "")].concat());
        let response = client.response();
        let rest = client.read_to_end();
        assert!(rest.is_empty(), "{text:?}: then {:?}", String::from_utf8_lossy(&rest));
        self.status(text, &response)
    }

    fn status(&self, text: &str, response: &Response) -> u16 {
        assert_eq!(self.upstream.connections(), 0, "{text:?}: {:?}", self.upstream.requests());
        response.status()
    }
}

/// A proxy that reaches the host files.example.test, and no other one, at this upstream.
fn with_tls_host(upstream: &Upstream) -> (Tls, ProxyBuilder) {
    let tls = Tls::for_host("files.example.test").behind_proxy().start(upstream);
    let proxy = tls.proxy();
    (tls, proxy)
}
