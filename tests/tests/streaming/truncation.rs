//! A body that the upstream truncates never looks complete (docs/compatibility.md, F4).

use support::{Proxy, Response, ScriptedResponse, Upstream};

/// The bodies do not have this coding, which the proxy does not decode.
const GZIP: &str = "Content-Encoding: gzip\r\n";

#[test]
fn a_body_shorter_than_its_length_does_not_look_complete() {
    for encoding in ["", GZIP] {
        let head = format!("HTTP/1.1 200 \r\n{encoding}Content-Length: 100\r\n\r\n");
        for body in ["", "four"] {
            for response in ends(ScriptedResponse::bytes(&head).then(body)) {
                assert_truncated(&through_the_proxy(response), body);
            }
        }
    }
}

#[test]
fn a_body_without_its_last_chunk_does_not_look_complete() {
    for encoding in ["", GZIP] {
        let head = format!("HTTP/1.1 200 \r\n{encoding}Transfer-Encoding: chunked\r\n\r\n");
        for part in
            ["4\r\nfour\r\n", "9\r\nfour", "4\r\nfour", "4\r\nfour\r\n0", "4\r\nfour\r\n0\r\n"]
        {
            for response in ends(ScriptedResponse::bytes(&head).then(part)) {
                assert_truncated(&through_the_proxy(response), "four");
            }
        }
    }
}

#[test]
fn a_body_that_ends_with_a_reset_does_not_look_complete() {
    for encoding in ["", GZIP] {
        let head = format!("HTTP/1.1 200 \r\n{encoding}\r\n");
        let response = ScriptedResponse::bytes(head).then("four");
        assert_truncated(&through_the_proxy(response.then_reset()), "four");
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_complete() {
    for encoding in ["", GZIP] {
        for head in [format!("HTTP/1.1 200 \r\n{encoding}"), format!("HTTP/1.0 200 \r\n{encoding}")]
        {
            let response =
                ScriptedResponse::bytes(format!("{head}\r\n")).then("all of it").then_close();
            let response = through_the_proxy(response);
            assert_eq!((response.text(), response.complete), ("all of it", true));
            assert_eq!(response.header("content-encoding").is_some(), !encoding.is_empty());
        }
    }
}

#[test]
fn a_body_with_invalid_chunks_does_not_look_complete() {
    for chunks in ["4\r\nfour!!", "x\r\nfour", "4\r\nfour\r\n-1\r\n\r\n"] {
        let response =
            ScriptedResponse::bytes("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(!through_the_proxy(response.then(chunks).then_close()).complete, "{chunks:?}");
    }
}

#[test]
fn a_client_of_http_1_0_gets_a_body_without_chunks() {
    let upstream = Upstream::start([ScriptedResponse::chunked(["all ", "of it"])]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange("GET /api/queue/v1/ping HTTP/1.0\r\n\r\n");
    assert_eq!((response.text(), response.header("transfer-encoding")), ("all of it", None));
}

fn ends(response: ScriptedResponse) -> [ScriptedResponse; 2] {
    [response.clone().then_close(), response.then_reset()]
}

fn through_the_proxy(response: ScriptedResponse) -> Response {
    let upstream = Upstream::start([response]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange("GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(upstream.requests().len(), 1);
    response
}

fn assert_truncated(response: &Response, body: &str) {
    let received = (response.status(), response.text(), response.complete);
    assert_eq!(received, (200, body, false), "{response:?}");
}
