//! Large header sections and trailers are forwarded over HTTP/2 as over HTTP/1.1; those that are too
//! large fail their own request and no other one.

use crate::http2::{HOST, error, get};
use support::Upstream;
use support::http1::Body;
use support::{
    Connection, Http2Response, Http2Upstream, Latch, Proxy, Request, Response, ScriptedResponse,
};

const KB: usize = 1000;

/// How a header section gets large: by one field, and by many.
#[derive(Clone, Copy, Debug)]
enum Shape {
    One,
    Many,
}

const SHAPES: [Shape; 2] = [Shape::One, Shape::Many];

#[test]
fn response_header_sections_of_17_to_240_kb_are_forwarded_over_both_versions() {
    for shape in SHAPES {
        for size in [17 * KB, 40 * KB, 71 * KB, 240 * KB] {
            let fields = fields(shape, size);
            let upstream = Upstream::start([ScriptedResponse::new(200, &borrowed(&fields), "up")]);
            let response = Proxy::in_front_of(upstream.root_url()).start().get("/queue/v1/x");
            assert_forwarded(&response, shape, size);

            let head = Http2Response::head(200, &borrowed(&fields));
            let response = head.then("up").then_end();
            let upstream = Http2Upstream::for_host(HOST).start(move |_| response.clone());
            let response = upstream.proxy().start().get("/queue/v1/x");
            assert_forwarded(&response, shape, size);
            assert_eq!(upstream.requests().len(), 1, "{shape:?} {size}");
        }
    }
}

#[test]
fn a_response_header_section_that_is_too_large_is_a_502_and_affects_no_other_stream() {
    for shape in SHAPES {
        let others = OtherTransfers::start(move |request: &Request| {
            let size = size_of(request.target())?;
            let head = Http2Response::head(200, &borrowed(&fields(shape, size)));
            Some(head.then("up").then_end())
        });
        let too_large = first_rejected_size(|size| {
            let response = others.proxy.get(&format!("/{HOST}/{size}"));
            if response.status() == 200 {
                assert_forwarded(&response, shape, size);
                return true;
            }
            let message = error(&response, &[502]);
            assert!(message.contains("header"), "{message}");
            assert!(message.contains("too large") || message.contains("larger"), "{message}");
            false
        });
        assert_eq!(others.upstream.count(&format!("/{too_large}")), 1, "it is not retried");
        others.assert_unaffected();
    }
}

#[test]
fn trailers_of_17_to_240_kb_are_forwarded_over_both_versions() {
    for shape in SHAPES {
        for size in [17 * KB, 40 * KB, 71 * KB, 240 * KB] {
            let fields = fields(shape, size);
            let lines: String =
                fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n";
            let response =
                ScriptedResponse::bytes(format!("{head}Trailer: {}\r\n\r\n", names(&fields)));
            let response = response.then_chunk("up").then(format!("0\r\n{lines}\r\n"));
            let upstream = Upstream::start([response]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            let response = get_with_trailers(&proxy, "/queue/v1/x");
            assert_trailers_forwarded(&response, shape, size);

            let response = with_trailers(&fields);
            let upstream = Http2Upstream::for_host(HOST).start(move |_| response.clone());
            let response = get_with_trailers(&upstream.proxy().start(), "/queue/v1/x");
            assert_trailers_forwarded(&response, shape, size);
        }
    }
}

/// The response has begun when they arrive, and must not look complete.
#[test]
fn trailers_that_are_too_large_are_never_forwarded_in_part_and_affect_no_other_stream() {
    for shape in SHAPES {
        let others = OtherTransfers::start(move |request: &Request| {
            let size = size_of(request.target())?;
            Some(with_trailers(&fields(shape, size)))
        });
        first_rejected_size(|size| {
            let response = get_with_trailers(&others.proxy, &format!("/{HOST}/{size}"));
            if response.complete {
                assert_trailers_forwarded(&response, shape, size);
            }
            response.complete
        });
        others.assert_unaffected();
    }
}

#[test]
fn a_204_loses_its_content_length() {
    let upstream = Http2Upstream::for_host(HOST).start(|request: &Request| {
        let length = request.target().strip_prefix("/").unwrap_or_default();
        Http2Response::head_only(204, &[("content-length", length), ("x-kept", "1")])
    });
    let proxy = upstream.proxy().start();
    let mut client = proxy.connect();
    for length in ["0", "5"] {
        client.send(support::request("GET", &format!("/{HOST}/{length}"), ""));
        let response = client.response();
        let headers = ["content-length", "transfer-encoding", "x-kept"];
        let found = headers.map(|name| response.header(name));
        assert_eq!((response.status(), found), (204, [None, None, Some("1")]), "{length}");
    }
}

/// A 304 may or may not have a Content-Length (RFC 9110 section 15.4.5).
#[test]
fn responses_to_head_and_304_have_no_body_whatever_their_content_length() {
    let upstream = Http2Upstream::for_host(HOST).start(|request: &Request| {
        let status = if request.method() == "HEAD" { 200 } else { 304 };
        Http2Response::head_only(status, &[("content-length", "5")])
    });
    let proxy = upstream.proxy().start();
    let mut client = proxy.connect();
    for (method, status) in [("HEAD", 200), ("GET", 304), ("HEAD", 200)] {
        client.send(support::request(method, "/queue/v1/x", ""));
        let response = client.response_to(method);
        assert_eq!((response.status(), response.complete), (status, true));
        let length = response.header("content-length");
        assert!(length == Some("5") || (status, length) == (304, None), "{method} {length:?}");
    }
}

/// A download and an upload that are half-way while another request fails on their connection.
struct OtherTransfers {
    upstream: Http2Upstream,
    proxy: Proxy,
    latch: Latch,
    download: Connection,
    download_body: Body,
    upload: Connection,
}

impl OtherTransfers {
    fn start(respond: impl Fn(&Request) -> Option<Http2Response> + Send + 'static) -> Self {
        let latch = Latch::new();
        let shared_latch = latch.clone();
        let upstream = Http2Upstream::for_host(HOST).start(move |request: &Request| {
            respond(request).unwrap_or_else(|| match request.method() {
                "POST" => Http2Response::ok("uploaded"),
                _ => Http2Response::head(200, &[("content-length", "9")])
                    .then("first")
                    .then_wait(&shared_latch)
                    .then("last")
                    .then_end(),
            })
        });
        let proxy = upstream.proxy().start();
        let mut download = get(&proxy, &format!("/{HOST}/download"));
        let mut download_body = Body::of_response(&download.head(), "GET");
        download.body_until(&mut download_body, "first");
        let mut upload = proxy.connect();
        let head = format!("POST /{HOST}/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
        upload.send(head + "first");
        upstream.wait_for("half an upload", |requests| {
            requests.iter().any(|request| request.body == b"first").then_some(())
        });
        Self { upstream, proxy, latch, download, download_body, upload }
    }

    fn assert_unaffected(mut self) {
        self.latch.open();
        assert_eq!(self.download.body_length(&mut self.download_body), 4);
        self.upload.send("last");
        assert_eq!(self.upload.response().text(), "uploaded");
        assert_eq!(self.upstream.connections(), 1);
    }
}

/// Doubles the size, from 142 kB, until the message is not forwarded any more; returns that size.
fn first_rejected_size(is_forwarded: impl Fn(usize) -> bool) -> usize {
    let sizes = (1..8).map(|power| (71 * KB) << power);
    let rejected = sizes.into_iter().find(|size| !is_forwarded(*size));
    rejected.expect("there is a limit below 10 MB")
}

fn fields(shape: Shape, size: usize) -> Vec<(String, String)> {
    match shape {
        Shape::One => vec![("x-large".to_owned(), "y".repeat(size))],
        Shape::Many => {
            let count = 1000;
            let field = |at| (format!("x-{at}"), "y".repeat(size / count));
            (0..count).map(field).collect()
        }
    }
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn names(fields: &[(String, String)]) -> String {
    fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn with_trailers(fields: &[(String, String)]) -> Http2Response {
    let head = Http2Response::head(200, &[("trailer", &names(fields))]);
    head.then("up").then_trailers(&borrowed(fields))
}

/// The size in a target `/<size>`.
fn size_of(target: &str) -> Option<usize> {
    target.strip_prefix('/')?.parse().ok()
}

fn get_with_trailers(proxy: &Proxy, target: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n");
    proxy.exchange(request + "\r\n")
}

fn assert_forwarded(response: &Response, shape: Shape, size: usize) {
    assert_eq!((response.status(), response.text()), (200, "up"), "{shape:?} {size}");
    for (name, value) in fields(shape, size) {
        assert!(response.header(&name) == Some(&value), "{shape:?} {size}: {name}");
    }
}

fn assert_trailers_forwarded(response: &Response, shape: Shape, size: usize) {
    assert_eq!((response.text(), response.complete), ("up", true), "{shape:?} {size}");
    let trailers = String::from_utf8_lossy(&response.trailers).to_ascii_lowercase();
    for (name, value) in fields(shape, size) {
        assert!(trailers.contains(&format!("{name}: {value}\r\n")), "{shape:?} {size}: {name}");
    }
}
