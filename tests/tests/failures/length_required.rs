//! Chunked bodies, and upstreams that require a Content-Length (411), which the Go program always sent.

use support::{Proxy, ScriptedResponse, Upstream};

const CHUNKED: &str = "PUT /api/object/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";

#[test]
fn a_complete_body_is_sent_with_a_content_length() {
    for (chunks, body) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0\r\n\r\n", ""),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
    ] {
        let upstream = Upstream::start([ScriptedResponse::ok("")]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        assert_eq!(proxy.exchange(format!("{CHUNKED}\r\n{chunks}")).status(), 200);
        let request = upstream.last_request();
        assert_eq!(request.body, body.as_bytes());
        assert_eq!(request.header("content-length"), Some(&*body.len().to_string()));
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

#[test]
fn after_a_411_the_body_is_sent_with_a_content_length() {
    for expect in ["", "Expect: 100-continue\r\n"] {
        let upstream = Upstream::start([
            ScriptedResponse::status(411).before_body().then_read_body(),
            ScriptedResponse::ok("up"),
        ]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(format!("{CHUNKED}{expect}\r\n"));
        upstream.wait_for("the request", |requests| requests.first().map(drop));
        client.send("5\r\nhello\r\n0\r\n\r\n");
        let response = client.response();
        let response = if response.status() == 100 { client.response() } else { response };
        assert_eq!((response.status(), response.text()), (200, "up"));
        let request = upstream.last_request();
        assert_eq!(
            (request.header("content-length"), &request.body[..]),
            (Some("5"), &b"hello"[..])
        );
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[test]
fn a_second_411_is_not_retried() {
    let upstream = Upstream::start([ScriptedResponse::status(411).before_body().then_read_body()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(format!("{CHUNKED}\r\n"));
    upstream.wait_for("the request", |requests| requests.first().map(drop));
    client.send("5\r\nhello\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), upstream.requests().len()), (411, 2));
    assert_eq!(response.header("x-taskcluster-proxy-diagnosis"), None);
}

#[test]
fn the_411_for_a_body_larger_than_the_replay_buffer_is_explained() {
    let upstream = Upstream::start([ScriptedResponse::status(411).before_body().then_read_body()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--replay-buffer", "1"]).start();
    let mut client = proxy.connect();
    client.send(format!("{CHUNKED}\r\n"));
    upstream.wait_for("the request", |requests| requests.first().map(drop));
    client.send(format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025)));
    let response = client.response();
    assert_eq!((response.status(), upstream.requests().len()), (411, 1));
    let diagnosis = response.header("x-taskcluster-proxy-diagnosis").expect("there is a diagnosis");
    assert!(diagnosis.starts_with("the upstream requires a Content-Length"), "{diagnosis}");
    assert!(diagnosis.contains("--replay-buffer"), "{diagnosis}");
}
