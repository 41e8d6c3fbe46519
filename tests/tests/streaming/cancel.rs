//! A client that disconnects cancels its request (docs/compatibility.md, F3).

use support::http1::Body;
use support::{Connection, Proxy, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

const POST: &str = "POST /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

/// How a client disconnects.
const WAYS: [fn(Connection); 2] = [drop, Connection::reset];

#[test]
fn a_client_that_disconnects_while_waiting_cancels_its_request() {
    for disconnect in WAYS {
        for request in [GET, POST] {
            let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            let mut client = proxy.connect();
            client.send(request);
            upstream.wait_for_requests(1);
            disconnect(client);
            upstream.wait_for_closed_connections(1);
            assert_eq!(upstream.requests().len(), 1);
        }
    }
}

/// As with nginx: nobody can tell it from a client that is gone.
#[test]
fn a_client_that_closes_its_sending_side_counts_as_closed() {
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(GET);
    upstream.wait_for_requests(1);
    client.finish_sending();
    upstream.wait_for_closed_connections(1);
    assert_eq!(client.read_to_end(), b"");
    proxy.wait_for_log("outcome=client_closed");
}

#[test]
fn a_client_that_disconnects_between_attempts_ends_the_retries() {
    for disconnect in WAYS {
        let upstream = Upstream::start([ScriptedResponse::status(503)]);
        let debug = ["--log-level", "debug"];
        let proxy = Proxy::in_front_of(upstream.root_url()).args(debug).start();
        let mut client = proxy.connect();
        client.send(GET);
        // The wait after the third attempt is at least 300 ms: long enough to disconnect in it.
        proxy.wait_for_log("attempt=3");
        disconnect(client);
        // The access log line is written when the request has ended.
        proxy.wait_for_log("method=GET path=/api/queue/v1/ping");
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[test]
fn a_client_that_disconnects_during_a_download_cancels_it() {
    for disconnect in WAYS {
        for response in [
            ScriptedResponse::large(1 << 30),
            ScriptedResponse::bytes(CHUNKED).then_chunk("a").then_stall(),
        ] {
            let upstream = Upstream::start([response]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            let mut client = proxy.connect();
            client.send(GET);
            let mut body = Body::of_response(&client.head(), "GET");
            client.body_until(&mut body, "");
            disconnect(client);
            upstream.wait_for_closed_connections(1);
        }
    }
}

#[test]
fn a_client_that_disconnects_during_an_upload_cancels_it() {
    for disconnect in WAYS {
        for (framing, part) in
            [("Content-Length: 6", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")]
        {
            let upstream = Upstream::start([ScriptedResponse::ok("")]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            let mut client = proxy.connect();
            client.send(format!("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{part}"));
            let received = |body: &[u8]| (body == b"abc").then_some(());
            upstream.wait_for("a part", |requests| received(&requests.first()?.body));
            disconnect(client);
            upstream.wait_for_closed_connections(1);
            let [request] = upstream.requests().try_into().unwrap();
            assert_eq!((request.body.as_slice(), request.complete), (&b"abc"[..], false));
            proxy.wait_for_log("outcome=client_closed");
        }
    }
}

/// The proxy reads these bodies itself.
#[test]
fn a_client_that_disconnects_during_an_upload_that_is_not_forwarded_is_logged_as_that() {
    for start in ["PUT /credentials", "POST /bewit", "PUT /nowhere"] {
        let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
        let mut client = proxy.connect();
        client.send(format!("{start} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc"));
        drop(client);
        let line = proxy.wait_for_log("message=request");
        assert!(line.contains("bytes_in=3") && line.contains("outcome=client_closed"), "{line}");
    }
}

/// It is still there, and gets the reason.
#[test]
fn a_client_that_sends_a_malformed_body_has_not_disconnected() {
    let upstream = Upstream::start([ScriptedResponse::ok("")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense");
    assert_eq!(client.response().status(), 400);
    proxy.wait_for_log("outcome=complete");
}

#[test]
fn a_client_that_disconnects_during_an_upload_after_an_early_response_cancels_it() {
    for disconnect in WAYS {
        let upstream =
            Upstream::start([ScriptedResponse::ok("early").before_body().then_read_body()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send("3\r\nabc\r\n");
        assert_eq!(client.response().text(), "early");
        disconnect(client);
        upstream.wait_for_closed_connections(1);
        assert!(!upstream.requests()[0].complete);
    }
}

#[test]
fn a_client_that_disconnects_during_a_retry_cancels_it() {
    for disconnect in WAYS {
        let upstream = Upstream::start([
            ScriptedResponse::status(503),
            ScriptedResponse::nothing().then_stall(),
        ]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send("POST /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        upstream.wait_for_requests(2);
        disconnect(client);
        // The second attempt has used the connection of the first.
        upstream.wait_for_closed_connections(1);
        assert_eq!(upstream.requests().len(), 2);
    }
}

const CHUNKED: &str = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
