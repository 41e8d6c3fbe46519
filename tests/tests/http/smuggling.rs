//! Request smuggling: the proxy and its upstreams agree where one request ends and the next one begins, or
//! the connection is closed (RFC 9112 section 11.2).

use support::{Connection, Proxy, Request, ScriptedResponse, Upstream};

const SMUGGLED: &str = "GET /api/queue/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn disguised_transfer_codings_are_rejected() {
    let setup = Setup::start();
    for field in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding\0: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding:\x0cchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked\r",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: x, chunked",
        "Transfer-Encoding: chunked, x",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    ] {
        for length in ["", "Content-Length: 4\r\n"] {
            for fields in [format!("{field}\r\n{length}"), format!("{length}{field}\r\n")] {
                setup.assert_rejected(&format!("{PUT}{fields}\r\n0\r\n\r\n{SMUGGLED}"));
            }
        }
    }
}

#[test]
fn disguised_content_lengths_are_rejected() {
    let setup = Setup::start();
    for field in [
        "Content-Length : 4",
        "Content-Length\t: 4",
        "Content-Length: 4\r\n 4",
        "Content-Length:\r\n 4",
        "Content-Length: 4\r\nContent-Length: 0",
        "Content-Length: 0\r\nContent-Length: 4",
        "Content-Length: 4, 4",
        "Content-Length: 4,",
        "Content-Length: 4;",
        "Content-Length: 4.0",
        "Content-Length: 4e0",
        "Content-Length: +4",
        "Content-Length: -0",
        "Content-Length: \x0b4",
        "Content-Length: 4\0",
        "Content-Length: \u{0664}",
        "Content-Length: 18446744073709551620",
    ] {
        setup.assert_rejected(&format!("{PUT}{field}\r\n\r\n{SMUGGLED}"));
    }
}

/// The whole body is forwarded as a body, and none of it is read as a request, also for methods that
/// usually have no body.
#[test]
fn bodies_with_any_method_are_forwarded_as_bodies() {
    let setup = Setup::start();
    let length = SMUGGLED.len();
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "PUT", "POST", "PURGE"] {
        let start = format!("{method} /api/queue/v1/outer HTTP/1.1\r\nHost: x\r\n");
        let request =
            setup.assert_forwarded(&format!("{start}Content-Length: {length}\r\n\r\n{SMUGGLED}"));
        assert_eq!(request.body, SMUGGLED.as_bytes(), "{method}");
        let coded =
            format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
        let request = setup.assert_forwarded(&format!("{start}{coded}"));
        assert_eq!(request.body, SMUGGLED.as_bytes(), "{method}");
    }
}

#[test]
fn similar_field_names_do_not_affect_framing() {
    let setup = Setup::start();
    for field in [
        "Transfer_Encoding: chunked",
        "Transfer-Encodin: chunked",
        "X-Transfer-Encoding: chunked",
        "TE: chunked",
        "Content_Length: 0",
        "Content-Lengt: 0",
        "Connection: Content-Length",
        "Connection: Transfer-Encoding, close, keep-alive",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
    ] {
        let length = SMUGGLED.len();
        for fields in [
            format!("{field}\r\nContent-Length: {length}\r\n"),
            format!("Content-Length: {length}\r\n{field}\r\n"),
        ] {
            let request = setup.assert_forwarded(&format!("{PUT}{fields}\r\n{SMUGGLED}"));
            assert_eq!(request.body, SMUGGLED.as_bytes(), "{field}");
            assert_eq!(request.head.all("content-length"), [length.to_string()], "{field}");
            assert_eq!(request.head.all("host").len(), 1, "{field}");
            for removed in ["transfer-encoding", "connection", "upgrade"] {
                assert_eq!(request.header(removed), None, "{field}");
            }
        }
    }
}

#[test]
fn white_space_and_case_do_not_affect_framing() {
    let setup = Setup::start();
    for field in [
        "Transfer-Encoding:chunked",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: \t chunked \t",
        "tRANSFER-eNCODING: CHUNKED",
    ] {
        let request =
            setup.assert_forwarded(&format!("{PUT}{field}\r\n\r\n4\r\nbody\r\n0\r\n\r\n"));
        assert_eq!(
            (
                request.body.as_slice(),
                request.head.all("content-length"),
                request.header("transfer-encoding")
            ),
            (&b"body"[..], vec!["4"], None)
        );
    }
}

/// Transfer-Encoding overrides Content-Length, and the connection is closed after that request.
#[test]
fn after_two_framings_the_connection_is_closed() {
    let setup = Setup::start();
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 500\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: Content-Length\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
        "Content-Length: 44\r\ntransfer-encoding: Chunked\r\n",
    ] {
        let request =
            setup.assert_forwarded(&format!("{PUT}{fields}\r\n1\r\nx\r\n0\r\n\r\n{SMUGGLED}"));
        assert_eq!(
            (request.body.as_slice(), request.head.all("content-length")),
            (&b"x"[..], vec!["1"])
        );
    }
}

#[test]
fn ambiguous_chunks_are_rejected() {
    let setup = Setup::start();
    for chunks in [
        "2\nab\r\n0\r\n\r\n",
        "2;x\nab\r\n0\r\n\r\n",
        "2;x=\n\r\nab\r\n0\r\n\r\n",
        "2;\rx\r\nab\r\n0\r\n\r\n",
        "2\r;\r\nab\r\n0\r\n\r\n",
        "2\rab\r\n0\r\n\r\n",
        "2\r\r\nab\r\n0\r\n\r\n",
        "2\x0b\r\nab\r\n0\r\n\r\n",
        "2 x\r\nab\r\n0\r\n\r\n",
        "\t2\r\nab\r\n0\r\n\r\n",
        "2,2\r\nab\r\n0\r\n\r\n",
        "0_2\r\nab\r\n0\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2\r\nab\r0\r\n\r\n",
        "2\r\nabX\r\n0\r\n\r\n",
        "2\r\nab\r\n\r\n0\r\n\r\n",
        "10000000000000002\r\nab\r\n0\r\n\r\n",
        "0\r\n X: folded\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
    ] {
        let text = format!("{PUT}Transfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}");
        setup.assert_rejected(&text);
    }
}

/// A recipient may reject these chunks, or read them in the only possible way.
#[test]
fn unusual_chunks_are_rejected_or_read_unambiguously() {
    let setup = Setup::start();
    for chunks in ["0000000000000002\r\nab\r\n0\r\n\r\n", "2;\0\r\nab\r\n0\r\n\r\n"] {
        let before = setup.upstream.requests().len();
        let received = setup.send(&format!("{PUT}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
        setup.assert_served();
        for request in &setup.upstream.requests()[before..] {
            let read = (request.body.as_slice(), statuses(&received));
            let is_request = request.complete && request.target() != AFTER;
            assert!(!is_request || read == (b"ab", vec!["200".to_owned()]), "{chunks:?}: {read:?}");
        }
    }
}

#[test]
fn chunk_extensions_are_not_forwarded() {
    let setup = Setup::start();
    let chunks = "2;a=\"GET / HTTP/1.1\";b\r\nab\r\n1 ;x\r\nc\r\n000;last\r\n\r\n";
    let request =
        setup.assert_forwarded(&format!("{PUT}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert_eq!((request.body.as_slice(), request.complete), (&b"abc"[..], true));
}

#[test]
fn trailers_do_not_affect_framing_routing_or_identity() {
    let setup = Setup::start();
    let trailers = "Content-Length: 40\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\
                    Authorization: Hawk id=\"root\"\r\nConnection: close\r\nTE: gzip\r\nX-Sum: 1\r\n";
    let names = "Content-Length, Transfer-Encoding, Host, Authorization, Connection, TE, X-Sum";
    let fields = format!("Trailer: {names}\r\nTransfer-Encoding: chunked\r\n");
    let request =
        setup.assert_forwarded(&format!("{PUT}{fields}\r\n1\r\nx\r\n0\r\n{trailers}\r\n"));
    let forwarded = String::from_utf8_lossy(&request.trailers).to_ascii_lowercase();
    assert_eq!(forwarded, "x-sum: 1\r\n");
}

#[test]
fn chunked_requests_of_http_1_0_are_rejected() {
    let setup = Setup::start();
    let start = "PUT /api/queue/v1/outer HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n";
    for fields in ["", "Content-Length: 5\r\n"] {
        let coded = format!("{start}{fields}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
        setup.assert_rejected(&coded);
    }
    let length = SMUGGLED.len();
    let request =
        setup.assert_forwarded(&format!("{start}Content-Length: {length}\r\n\r\n{SMUGGLED}"));
    assert_eq!(request.body, SMUGGLED.as_bytes());
}

/// The proxy responds without reading the body, whose bytes must not be read as a request.
#[test]
fn a_body_that_waits_for_100_continue_is_not_a_request() {
    for (expect, target) in [
        ("100-continue", "/nowhere"),
        ("100-continue", "/bewit"),
        (" 100-CONTINUE", "/credentials"),
        ("x, 100-continue", "/nowhere"),
    ] {
        let upstream = Upstream::start([ScriptedResponse::status(200)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut connection = proxy.connect();
        let length = SMUGGLED.len();
        let fields = format!("Expect: {expect}\r\nContent-Length: {length}\r\n");
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{SMUGGLED}"));
        connection.finish_sending();
        connection.read_to_end();
        assert_eq!(proxy.get("/api/queue/v1/after").status(), 200);
        assert_eq!(targets(&upstream), ["/api/queue/v1/after"], "{expect} {target}");
    }
}

const PUT: &str = "PUT /api/queue/v1/outer HTTP/1.1\r\nHost: x\r\n";

/// One proxy and one upstream for many attacks, each over a connection of its own.
struct Setup {
    upstream: Upstream,
    proxy: Proxy,
}

impl Setup {
    fn start() -> Self {
        let upstream = Upstream::start([ScriptedResponse::status(200)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        Self { upstream, proxy }
    }

    /// Fails unless the client gets one 4xx or the connection is closed, and the upstream receives no
    /// complete request.
    fn assert_rejected(&self, text: &str) {
        let before = self.upstream.requests().len();
        let received = self.send(text);
        let statuses = statuses(&received);
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| status.starts_with('4')),
            "{text:?}: {statuses:?}"
        );
        self.assert_served();
        for request in &self.upstream.requests()[before..] {
            assert!(!request.complete || request.target() == AFTER, "{text:?}: {request:?}");
        }
    }

    /// Fails unless the upstream receives exactly one complete request, and none from its body or after
    /// it; returns the request.
    fn assert_forwarded(&self, text: &str) -> Request {
        let before = self.upstream.requests().len();
        let received = self.send(text);
        assert_eq!(statuses(&received), ["200"], "{text:?}");
        self.assert_served();
        let [request, _after] = self
            .upstream
            .requests()
            .split_off(before)
            .try_into()
            .expect("the request, and the one after it");
        assert!(request.complete, "{text:?}");
        request
    }

    fn send(&self, text: &str) -> Vec<u8> {
        let mut connection: Connection = self.proxy.connect();
        // The proxy may reject it before all of it is sent.
        let _ = connection.try_send(text);
        // Ends the connection after the response, if it is still open.
        let _ =
            connection.try_send("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut received = connection.read_to_end();
        // The response to that request does not count.
        if let Some(at) = position(&received, b"HTTP/1.1 404") {
            received.truncate(at);
        }
        received
    }

    /// Fails if a connection to the upstream is left in a state that affects other requests.
    fn assert_served(&self) {
        assert_eq!(self.proxy.get(AFTER).status(), 200);
        let requests = self.upstream.requests();
        assert!(
            requests.iter().all(|request| !request.target().contains("smuggled")),
            "{requests:?}"
        );
    }
}

const AFTER: &str = "/api/queue/v1/after";

fn targets(upstream: &Upstream) -> Vec<String> {
    upstream.requests().iter().map(|request| request.target().to_owned()).collect()
}

/// The statuses of the responses in these bytes.
fn statuses(received: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(received);
    let words = text.split("HTTP/1.").skip(1).filter_map(|line| line.split(' ').nth(1));
    words.filter(|word| word.parse::<u16>().is_ok()).map(str::to_owned).collect()
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
