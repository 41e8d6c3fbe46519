//! Bodies of any size are streamed, and memory stays bounded (docs/compatibility.md, F5).

use std::thread;
use support::http1::Body;
use support::{Connection, Latch, Proxy, Request, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";

const MIB: u64 = 1024 * 1024;

/// The maximum memory of the proxy, whatever it forwards.
const PEAK: u64 = 48 * MIB;

#[test]
fn server_sent_events_are_forwarded_one_by_one() {
    let latches = [(); 3].map(|()| Latch::new());
    let head = "HTTP/1.1 200 \r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    let response = latches
        .iter()
        .fold(ScriptedResponse::bytes(format!("{head}\r\n\r\n")), |response, latch| {
            response.then_wait(latch).then_chunk("data: event\n\n")
        });
    let upstream = Upstream::start([response.then("0\r\n\r\n")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(GET);
    let head = client.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let mut body = Body::of_response(&head, "GET");
    for latch in latches {
        latch.open();
        assert_eq!(client.body_until(&mut body, "\n\n"), b"data: event\n\n");
    }
    assert_eq!(client.body_length(&mut body), 0);
}

#[test]
fn the_first_bytes_of_a_response_arrive_before_the_last_are_sent() {
    let latch = Latch::new();
    let head = "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\n";
    let response = ScriptedResponse::bytes(head).then("first").then_wait(&latch).then("last");
    let upstream = Upstream::start([response]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut body = Body::of_response(&client.head(), "GET");
    assert_eq!(client.body_until(&mut body, "first"), b"first");
    latch.open();
    assert_eq!(client.body_until(&mut body, "last"), b"last");
}

#[test]
fn the_first_bytes_of_an_upload_arrive_before_the_last_are_sent() {
    for (framing, first, last) in [
        ("Content-Length: 9", "first", "last"),
        ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "4\r\nlast\r\n0\r\n\r\n"),
    ] {
        let upstream = Upstream::start([ScriptedResponse::ok("")]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(format!("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{first}"));
        let received = |request: &Request| (request.body == b"first").then_some(());
        upstream.wait_for("the first bytes", |requests| received(requests.first()?));
        client.send(last);
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.requests()[0].body, b"firstlast");
    }
}

#[test]
fn request_and_response_bodies_can_be_sent_at_the_same_time() {
    let latch = Latch::new();
    let response =
        ScriptedResponse::bytes(CHUNKED).then_chunk("early").before_body().then_wait(&latch);
    let upstream =
        Upstream::start([response.then_read_body().then_chunk("late").then("0\r\n\r\n")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfirst");
    let mut body = Body::of_response(&client.head(), "PUT");
    assert_eq!(client.body_until(&mut body, "early"), b"early");
    latch.open();
    client.send("last");
    assert_eq!(client.body_until(&mut body, "late"), b"late");
    assert_eq!(upstream.requests()[0].body, b"firstlast");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_delays_no_other_request() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/a/v1/large" => ScriptedResponse::large(512 * MIB),
        _ => ScriptedResponse::ok("up"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("GET /a/v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut body = Body::of_response(&client.head(), "GET");
    for _ in 0..200 {
        assert_eq!(proxy.exchange(GET).text(), "up");
    }
    assert_below(proxy.peak_memory(), PEAK);
    assert_eq!(client.body_length(&mut body), 512 * MIB);
    assert_below(proxy.peak_memory(), PEAK);
}

#[test]
#[cfg(target_os = "linux")]
fn uploads_and_downloads_of_512_mib_take_bounded_memory() {
    let upstream = Upstream::start([ScriptedResponse::large(512 * MIB)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    transfer(proxy.connect(), 512 * MIB, 512 * MIB);
    assert_eq!(upstream.requests()[0].body_length, 512 * MIB);
    assert_below(proxy.peak_memory(), PEAK);
}

#[test]
#[cfg(target_os = "linux")]
fn many_transfers_at_once_take_bounded_memory() {
    let upstream = Upstream::start([ScriptedResponse::large(16 * MIB)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| transfer(proxy.connect(), 16 * MIB, 16 * MIB));
        }
    });
    assert!(upstream.requests().iter().all(|request| request.body_length == 16 * MIB));
    assert_below(proxy.peak_memory(), PEAK);
}

#[test]
#[cfg(target_os = "linux")]
fn bodies_in_replay_buffers_take_no_more_memory() {
    let upstream = Upstream::start(|request: &Request| match request.index {
        0..64 => ScriptedResponse::status(503),
        _ => ScriptedResponse::ok("up"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let head = "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length";
                let body = "x".repeat(MIB as usize);
                proxy.exchange(format!("{head}: {MIB}\r\n\r\n{body}"));
            });
        }
    });
    assert_below(proxy.peak_memory(), PEAK);
}

#[test]
fn a_client_gets_100_continue_when_the_upstream_sends_it() {
    let response =
        ScriptedResponse::bytes("HTTP/1.1 100 Continue\r\n\r\n").before_body().then_read_body();
    let upstream = Upstream::start([response.then("HTTP/1.1 204 \r\n\r\n")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = expecting_client(&proxy);
    assert_eq!(client.response().status(), 100);
    client.send("body");
    assert_eq!(client.response().status(), 204);
    let [request] = upstream.requests().try_into().unwrap();
    assert_eq!(
        (request.body.as_slice(), request.header("expect")),
        (&b"body"[..], Some("100-continue"))
    );
}

#[test]
fn a_client_gets_100_continue_even_if_the_upstream_sends_none() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = expecting_client(&proxy);
    assert_eq!(client.response().status(), 100);
    client.send("body");
    assert_eq!(client.response().text(), "up");
}

#[test]
fn a_client_gets_no_100_continue_if_the_upstream_responds_without_the_body() {
    for status in [401, 417, 200] {
        let response = ScriptedResponse::new(status, &[], "early").before_body();
        let upstream = Upstream::start([response.then_read_body()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = expecting_client(&proxy);
        let response = client.response();
        assert_eq!(
            (response.status(), response.text(), response.complete),
            (status, "early", true)
        );
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(client.read_to_end(), b"");
        upstream.wait_for_closed_connections(1);
        assert_eq!(upstream.requests()[0].body_length, 0);
    }
}

#[test]
fn a_request_that_waits_for_100_continue_is_retried() {
    let busy = ScriptedResponse::status(503).before_body().then_stall();
    let continues =
        ScriptedResponse::bytes("HTTP/1.1 100 Continue\r\n\r\n").before_body().then_read_body();
    let upstream = Upstream::start([busy, continues.then("HTTP/1.1 204 \r\n\r\n")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = expecting_client(&proxy);
    assert_eq!(client.response().status(), 100);
    client.send("body");
    assert_eq!(client.response().status(), 204);
    upstream.wait_for_closed_connections(1);
}

#[test]
fn a_response_before_the_whole_body_is_forwarded() {
    for length in [100_000, MIB, 64 * MIB] {
        for ends in [ScriptedResponse::then_close, ScriptedResponse::then_reset] {
            let early =
                ScriptedResponse::new(413, &[("Connection", "close")], "too large").before_body();
            let upstream = Upstream::start([ends(early)]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            for _ in 0..5 {
                let mut client = proxy.connect();
                upload(&mut client, length);
                let response = client.response();
                let received = (response.status(), response.text(), response.complete);
                assert_eq!(received, (413, "too large", true), "{length} bytes");
            }
            assert_eq!(upstream.requests().len(), 5);
        }
    }
}

#[test]
fn an_early_response_has_connection_close_or_the_connection_stays_open() {
    for length in [1000, 100_000, MIB, 64 * MIB] {
        let early = ScriptedResponse::status(413).before_body().then_close();
        let upstream = Upstream::start(move |request: &Request| match request.method() {
            "PUT" => early.clone(),
            _ => ScriptedResponse::ok("up"),
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        for _ in 0..5 {
            let mut client = proxy.connect();
            upload(&mut client, length);
            let response = client.response();
            assert_eq!(response.status(), 413);
            // Without that field the proxy has read the whole body.
            if response.header("connection") != Some("close") {
                client.send(GET);
                assert_eq!(client.response().text(), "up", "after {length} bytes");
            }
        }
    }
}

#[test]
fn a_client_can_finish_sending_after_an_early_response() {
    for length in [100_000, MIB, 64 * MIB] {
        let early =
            ScriptedResponse::new(413, &[("Connection", "close")], "too large").before_body();
        let upstream = Upstream::start([early.then_close()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        assert!(upload(&mut client, length), "{length} bytes");
        assert_eq!(client.response().status(), 413);
    }
}

/// As nginx does: the response comes at once, and the connection ends some time later.
#[test]
fn a_client_can_finish_sending_although_the_upstream_ends_the_upload_after_its_response() {
    let response_received = Latch::new();
    let early = ScriptedResponse::new(401, &[], "no").before_body();
    let upstream = Upstream::start([early.then_wait(&response_received).then_close()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n");
    client.send(vec![b'x'; MIB as usize]);
    proxy.wait_for_log("status=401");
    response_received.open();
    for _ in 1..64 {
        assert!(client.try_send(vec![b'x'; MIB as usize]).is_ok());
    }
    assert_eq!(client.response().status(), 401);
}

#[test]
fn a_client_can_finish_sending_an_unroutable_request() {
    let proxy = Proxy::sandbox().start();
    let mut client = proxy.connect();
    client.send(format!("PUT /no_host HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", MIB));
    client.send(vec![b'x'; MIB as usize]);
    let response = client.response();
    assert_eq!((response.status(), response.header("connection")), (404, Some("close")));
}

/// A client that has sent a request with Expect: 100-continue, but not its body of 4 bytes.
fn expecting_client(proxy: &Proxy) -> Connection {
    let mut client = proxy.connect();
    client.send(
        "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    client
}

/// Sends a body of `up` bytes, and fails unless that of the response has `down` bytes.
fn transfer(mut client: Connection, up: u64, down: u64) {
    assert!(upload(&mut client, up));
    let mut body = Body::of_response(&client.head(), "PUT");
    assert_eq!(client.body_length(&mut body), down);
}

/// Sends a request with a body of this length; `false` if the proxy does not read all of it.
fn upload(client: &mut Connection, length: u64) -> bool {
    client.send(format!("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    let block = vec![b'x'; MIB as usize];
    let lengths = (0..length).step_by(block.len()).map(|sent| (length - sent).min(MIB) as usize);
    lengths.map(|length| client.try_send(&block[..length])).all(|sent| sent.is_ok())
}

fn assert_below(found: u64, limit: u64) {
    assert!(found < limit, "expected less than {} MiB, found {}", limit / MIB, found / MIB);
}
