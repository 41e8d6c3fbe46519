//! Bodies stream over HTTP/2, too; early responses, interim responses, clients that disconnect and
//! truncated bodies are handled as over HTTP/1.1.

use crate::http2::{HOST, error, get};
use h2::Reason;
use std::io;
use support::http1::Body;
use support::{Connection, Frame, Frames, Http2Response, Http2Upstream, Latch, Proxy, Request};

#[test]
fn the_first_bytes_of_a_download_arrive_before_the_last_are_sent() {
    let latch = Latch::new();
    let response = Http2Response::head(200, &[]).then("first").then_wait(&latch);
    let response = response.then("last").then_end();
    let upstream = Http2Upstream::for_host(HOST).start(move |_| response.clone());
    let proxy = upstream.proxy().start();
    let mut client = get(&proxy, "/queue/v1/x");
    let mut body = Body::of_response(&client.head(), "GET");
    assert_eq!(client.body_until(&mut body, "first"), b"first");
    latch.open();
    assert_eq!(client.body_until(&mut body, "last"), b"last");
    assert_eq!(client.body_length(&mut body), 0);
}

#[test]
fn the_first_bytes_of_an_upload_arrive_before_the_last_are_sent() {
    for (framing, first, last) in [
        ("Content-Length: 9", "first", "last"),
        ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "4\r\nlast\r\n0\r\n\r\n"),
    ] {
        let upstream = Http2Upstream::for_host(HOST).start(|_| Http2Response::ok("up"));
        let proxy = upstream.proxy().start();
        let mut client = post(&proxy, framing, first);
        let received = |request: &Request| (request.body == b"first").then_some(());
        upstream.wait_for("the first bytes", |requests| received(requests.first()?));
        client.send(last);
        assert_eq!(client.response().text(), "up");
        assert_eq!(upstream.requests()[0].body, b"firstlast");
    }
}

/// After the response the upstream stops the upload with RST_STREAM and NO_ERROR
/// (RFC 9113 section 8.1).
#[test]
fn a_response_before_the_whole_body_is_forwarded() {
    let early = Http2Response::head(413, &[("content-length", "9")]).before_body();
    let early = early.then("too large").then_end();
    for length in [100_000, 64 << 20] {
        let upstream = Http2Upstream::for_host(HOST).start({
            let early = early.clone();
            move |_| early.clone()
        });
        let proxy = upstream.proxy().start();
        for _ in 0..5 {
            let mut client = post(&proxy, &format!("Content-Length: {length}"), "");
            // It is not specified how much of it the proxy reads.
            let _ = client.try_send(vec![0; length]);
            let response = client.response();
            assert_eq!((response.text(), response.complete), ("too large", true), "{length}");
        }
        assert_eq!(upstream.requests().len(), 5);
    }
}

/// The upstream stops the upload some time after the response.
#[test]
fn a_client_can_finish_sending_after_a_late_reset() {
    let response_received = Latch::new();
    let early = Http2Response::head(413, &[("content-length", "9")]).before_body();
    let early = early.then("too large").then_end().then_wait(&response_received);
    let early = early.then_reset(Reason::NO_ERROR);
    let upstream = Http2Upstream::for_host(HOST).start(move |_| early.clone());
    let proxy = upstream.proxy().start();
    let mut client = post(&proxy, "Content-Length: 67108864", "");
    client.send(vec![0; 1 << 20]);
    proxy.wait_for_log("status=413");
    response_received.open();
    for _ in 1..64 {
        assert!(client.try_send(vec![0; 1 << 20]).is_ok());
    }
    assert_eq!(client.response().text(), "too large");
}

/// Streams are limited, so each of them would be lost for other requests.
#[test]
fn a_stream_that_the_upstream_does_not_end_is_reset() {
    let response = Http2Response::head(200, &[("content-length", "2")]).then("up").then_stall();
    let upstream = Http2Upstream::for_host(HOST).start(move |_| response.clone());
    let proxy = upstream.proxy().start();
    assert_eq!(proxy.get("/queue/v1/x").text(), "up");
    upstream.wait_for_frames(0, Frame::RST_STREAM, 1);
}

#[test]
fn interim_responses_are_skipped() {
    let upstream = Http2Upstream::for_host(HOST).start(|_| {
        let interim = Http2Response::nothing().then_interim(103).then_interim(102);
        interim.then_head(201, &[]).then("up").then_end()
    });
    let proxy = upstream.proxy().start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(support::request("PUT", "/queue/v1/x", "body"));
        let response = client.response();
        assert_eq!((response.status(), response.text()), (201, "up"));
    }
}

#[test]
fn a_client_can_wait_for_100_continue() {
    let response = Http2Response::nothing().before_body().then_interim(100).then_read_body();
    let response = response.then_head(200, &[]).then("up").then_end();
    let upstream = Http2Upstream::for_host(HOST).start(move |_| response.clone());
    let proxy = upstream.proxy().start();
    let mut client = post(&proxy, "Expect: 100-continue\r\nContent-Length: 4", "");
    assert_eq!(client.response().status(), 100);
    client.send("body");
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[0].body, b"body");
}

#[test]
fn a_client_that_disconnects_cancels_only_its_own_stream() {
    let latch = Latch::new();
    let upstream = Http2Upstream::for_host(HOST).start({
        let latch = latch.clone();
        move |request: &Request| match request.target() {
            "/api/queue/v1/other" => {
                let poll = Http2Response::nothing().then_wait(&latch);
                poll.then_head(200, &[]).then("up").then_end()
            }
            "/api/queue/v1/download" => Http2Response::head(200, &[]).then("four").then_stall(),
            _ => Http2Response::nothing().then_stall(),
        }
    });
    let proxy = upstream.proxy().start();
    let mut other = get(&proxy, "/queue/v1/other");
    upstream.wait_for_requests(1);
    let mut cancelled = 0;
    for disconnect in [drop, Connection::reset] {
        let waiting = get(&proxy, "/queue/v1/poll");
        let uploading = post(&proxy, "Content-Length: 9", "first");
        upstream.wait_for_requests(cancelled + 3);
        // This response shows that the connection works, so that it is reused.
        let mut downloading = get(&proxy, "/queue/v1/download");
        downloading.head();
        for client in [waiting, downloading, uploading] {
            disconnect(client);
            cancelled += 1;
            upstream.wait_for_frames(0, Frame::RST_STREAM, cancelled);
        }
    }
    latch.open();
    assert_eq!(other.response().text(), "up");
    assert_eq!((upstream.connections(), upstream.requests().len()), (1, 7));
}

#[test]
fn a_body_whose_stream_is_reset_does_not_look_complete() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::REFUSED_STREAM, Reason::NO_ERROR]
    {
        assert_truncated_response(reason, move |frames, stream| {
            let reason = u32::from(reason).to_be_bytes();
            frames.write(Frame::RST_STREAM, 0, stream, &reason)?;
            frames.read_to_end();
            Ok(())
        });
    }
}

#[test]
fn a_body_whose_connection_ends_does_not_look_complete() {
    assert_truncated_response("without GOAWAY", |_, _| Ok(()));
    // Like an upstream that shuts down without waiting for its responses.
    for reason in [Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        assert_truncated_response(reason, move |frames, stream| frames.go_away(stream, reason));
        assert_truncated_response(reason, move |frames, _| frames.go_away(0, reason));
    }
}

#[test]
fn a_body_shorter_than_its_length_does_not_look_complete() {
    let short = Http2Response::head(200, &[("content-length", "9")]).then("four").then_end();
    let upstream = Http2Upstream::for_host(HOST).start(move |_| short.clone());
    let response = upstream.proxy().start().get("/queue/v1/x");
    let received = (response.status(), response.text(), response.complete);
    assert_eq!(received, (200, "four", false));
}

/// So that the upstream does not take the body for a complete one.
#[test]
fn an_aborted_upload_resets_its_stream() {
    for (framing, part) in
        [("Content-Length: 9", "four"), ("Transfer-Encoding: chunked", "4\r\nfour\r\n")]
    {
        let upstream = Http2Upstream::for_host(HOST).start(|_| Http2Response::ok("up"));
        let proxy = upstream.proxy().start();
        let client = post(&proxy, framing, part);
        let received = |request: &Request| (request.body == b"four").then_some(());
        upstream.wait_for("a part", |requests| received(requests.first()?));
        drop(client);
        upstream.wait_for_frames(0, Frame::RST_STREAM, 1);
        assert!(!upstream.requests()[0].complete);
    }
}

#[test]
fn invalid_http2_is_a_502() {
    let upstream = Http2Upstream::for_host(HOST).start_frames(|_, frames| {
        let stream = frames.read_request()?;
        // A header section in the middle of another one (RFC 9113 section 6.2).
        frames.write(Frame::HEADERS, 0, stream, &[STATUS_200])?;
        frames.write(Frame::DATA, Frame::END_STREAM, stream, b"up")?;
        frames.read_to_end();
        Ok(())
    });
    let response = upstream.proxy().start().call("POST", "/files.example.test/x", "body");
    let message = error(&response, &[502]);
    assert!(message.contains("https://files.example.test"), "{message}");
    assert_eq!(upstream.connections(), 1);
}

/// A client that has sent the header section of a POST and this much of its body.
fn post(proxy: &Proxy, fields: &str, body: &str) -> Connection {
    let mut client = proxy.connect();
    client.send(format!("POST /queue/v1/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}"));
    client
}

/// Entry 8 of HPACK's static table: `:status: 200`.
const STATUS_200: u8 = 0x80 | 8;

/// The upstream begins a response of unknown length, and truncates it.
fn assert_truncated_response(
    how: impl std::fmt::Display,
    truncate: impl Fn(&mut Frames, u32) -> io::Result<()> + Send + Sync + 'static,
) {
    let latch = Latch::new();
    let upstream = Http2Upstream::for_host(HOST).start_frames({
        let latch = latch.clone();
        move |_, frames| {
            let stream = frames.read_request()?;
            frames.write(Frame::HEADERS, Frame::END_HEADERS, stream, &[STATUS_200])?;
            frames.write(Frame::DATA, 0, stream, b"four")?;
            latch.wait();
            truncate(frames, stream)
        }
    });
    let proxy = upstream.proxy().start();
    let mut client = get(&proxy, "/queue/v1/x");
    let mut body = Body::of_response(&client.head(), "GET");
    assert_eq!(client.body_until(&mut body, "four"), b"four");
    latch.open();
    let rest = client.body_data(&mut body);
    assert!(rest.is_err(), "{how}: the body looks complete");
}
