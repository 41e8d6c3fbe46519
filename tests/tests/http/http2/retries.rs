//! Requests that the upstream reports as not processed are retried: refused streams, and streams above
//! the last one of a GOAWAY (RFC 9113 section 8.7). Other requests are not sent twice.

use crate::http2::{HOST, error};
use h2::Reason;
use std::collections::HashSet;
use std::io;
use std::thread;
use support::hawk::Claim;
use support::{Frame, Frames, Http2Response, Http2Upstream, Proxy, Request};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"];

/// Targets of the deployment, and of a host by name.
const TARGETS: [(&str, &str); 2] =
    [("/queue/v1/x", "/api/queue/v1/x"), ("/files.example.test/x", "/x")];

#[test]
fn a_refused_stream_is_retried_whatever_the_method_and_form() {
    let upstream = refuses_at_first();
    let proxy = upstream.proxy().start();
    for method in METHODS {
        for (target, upstream_target) in TARGETS {
            let before = upstream.requests().len();
            let response = proxy.call(method, target, "body");
            assert_eq!(response.text(), "up", "{method} {target}");
            let requests = upstream.requests().split_off(before);
            let sent: Vec<_> = requests.iter().map(|it| (it.method(), it.target())).collect();
            assert_eq!(sent, [(method, upstream_target); 2]);
            assert_eq!((requests[1].body.as_slice(), requests[1].complete), (&b"body"[..], true));
            let nonce = |request| Claim::of_tls(request).assert_signed_with("no-secret").nonce;
            assert_ne!(nonce(&requests[0]), nonce(&requests[1]), "each attempt is signed afresh");
        }
    }
}

#[test]
fn a_refused_stream_is_retried_while_the_client_is_still_sending() {
    for (target, _) in TARGETS {
        let upstream = refuses_at_first();
        let proxy = upstream.proxy().start();
        let mut client = proxy.connect();
        let framing = "Transfer-Encoding: chunked";
        client
            .send(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n5\r\nfirst\r\n"));
        upstream.wait_for_requests(2);
        client.send("4\r\nlast\r\n0\r\n\r\n");
        assert_eq!(client.response().text(), "up", "{target}");
        assert_eq!(upstream.requests()[1].body, b"firstlast");
    }
}

#[test]
fn a_stream_that_is_refused_each_time_is_an_error() {
    let upstream = Http2Upstream::for_host(HOST).start(|_| Http2Response::refused());
    let proxy = upstream.proxy().start();
    let response = proxy.call("POST", "/files.example.test/x", "body");
    let message = error(&response, &[502, 503]);
    assert!(message.contains("https://files.example.test"), "{message}");
    let attempts = upstream.requests().len();
    assert!((2..20).contains(&attempts), "{attempts} attempts");
}

/// For any other reason the upstream may have processed the request.
#[test]
fn a_stream_that_is_reset_for_another_reason_is_not_sent_twice() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::PROTOCOL_ERROR] {
        let upstream = Http2Upstream::for_host(HOST)
            .start(move |_| Http2Response::nothing().then_reset(reason));
        let response = upstream.proxy().start().call("POST", "/files.example.test/x", "body");
        error(&response, &[502]);
        assert_eq!(upstream.requests().len(), 1, "{reason}");
    }
}

#[test]
fn streams_above_the_last_of_a_goaway_are_retried_whatever_the_method_and_form() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR] {
        // Every other connection processes nothing, the others process one request.
        let upstream = Http2Upstream::for_host(HOST).start_frames(move |number, frames| {
            let stream = frames.read_request()?;
            if number % 2 == 0 {
                frames.go_away(0, reason)?;
            } else {
                frames.respond(stream, b"up")?;
                frames.go_away(stream, Reason::NO_ERROR)?;
            }
            frames.read_to_end();
            Ok(())
        });
        let proxy = upstream.proxy().args(["--log-level", "debug"]).start();
        for method in METHODS {
            for (target, _) in TARGETS {
                let response = proxy.call(method, target, "body");
                assert_eq!(response.text(), "up", "{method} {target} {reason}");
            }
        }
        // There was no backoff, which would be logged.
        assert!(!proxy.log().contains("retrying"), "{}", proxy.log());
    }
}

/// Five immediate repetitions, and five after a backoff.
#[test]
fn an_upstream_that_processes_nothing_gets_a_request_eleven_times() {
    let upstream = Http2Upstream::for_host(HOST).start_frames(|_, frames| {
        frames.read_request()?;
        frames.go_away(0, Reason::NO_ERROR)?;
        frames.read_to_end();
        Ok(())
    });
    let proxy = upstream.proxy().start();
    let message = error(&proxy.get("/queue/v1/x"), &[502]);
    assert!(message.contains("closed by GOAWAY with NO_ERROR (0x0)"), "{message}");
    assert_eq!(upstream.connections(), 11);
    proxy.wait_for_log("attempts=11");
}

#[test]
fn streams_up_to_the_last_of_a_goaway_are_completed_and_not_sent_twice() {
    let upstream = Http2Upstream::for_host(HOST).start_frames(|number, frames| {
        if number > 0 {
            return serve(frames, "second connection");
        }
        let first = frames.read_request()?;
        frames.read_request()?;
        frames.go_away(first, Reason::NO_ERROR)?;
        frames.respond(first, b"first connection")?;
        frames.read_to_end();
        Ok(())
    });
    let proxy = upstream.proxy().start();
    let mut first = proxy.connect();
    first.send(support::request("POST", "/files.example.test/first", "body"));
    upstream.wait_for_frames(0, Frame::DATA, 1);
    let second = proxy.call("POST", "/files.example.test/second", "body");
    assert_eq!(first.response().text(), "first connection");
    assert_eq!(second.text(), "second connection");
    assert_eq!(upstream.connections(), 2);
    assert_eq!(upstream.frames(1, Frame::HEADERS), 1);
}

#[test]
fn a_graceful_goaway_every_50_requests_loses_no_request() {
    let upstream = Http2Upstream::for_host(HOST)
        .goaway_every(50)
        .start(|request: &Request| Http2Response::ok(request.target()));
    assert_none_of_1000_is_lost(&upstream.proxy().start(), |target| {
        assert_eq!(upstream.count(target), 1, "{target}");
    });
    assert!(upstream.connections() >= 20, "{} connections", upstream.connections());
}

/// Like nginx, the upstream sends GOAWAY with the 50th request and ignores the streams above it.
#[test]
fn an_immediate_goaway_every_50_requests_loses_no_request() {
    let upstream = Http2Upstream::for_host(HOST).start_frames(|_, frames| {
        let (mut last, mut opened, mut ended) = (u32::MAX, 0, 0);
        while ended < 50 {
            let frame = frames.read()?;
            if frame.stream > last {
                continue;
            }
            if frame.kind == Frame::HEADERS {
                opened += 1;
                if opened == 50 {
                    last = frame.stream;
                    frames.go_away(last, Reason::NO_ERROR)?;
                }
            }
            let may_end = matches!(frame.kind, Frame::HEADERS | Frame::DATA);
            if may_end && frame.flags & Frame::END_STREAM != 0 {
                ended += 1;
                frames.respond(frame.stream, b"up")?;
            }
        }
        frames.read_to_end();
        Ok(())
    });
    assert_none_of_1000_is_lost(&upstream.proxy().start(), |_| {});
    assert!(upstream.connections() >= 20, "{} connections", upstream.connections());
}

#[test]
fn a_request_whose_connection_ends_without_a_response_is_not_sent_twice() {
    for (target, retries) in
        [("/files.example.test/x", &[][..]), ("/queue/v1/x", &["--retry-budget", "0"])]
    {
        let upstream = Http2Upstream::for_host(HOST).start_frames(|number, frames| {
            if number > 0 {
                return serve(frames, "sent twice");
            }
            let stream = frames.read_request()?;
            frames.respond(stream, b"up")?;
            // The connection ends without GOAWAY when the next request arrives.
            frames.read_request().map(drop)
        });
        let proxy = upstream.proxy().args(retries).start();
        assert_eq!(proxy.call("POST", target, "body").text(), "up");
        error(&proxy.call("POST", target, "body"), &[502]);
        let sent = (upstream.connections(), upstream.frames(0, Frame::HEADERS));
        assert_eq!(sent, (1, 2), "{target} {retries:?}");
    }
}

fn refuses_at_first() -> Http2Upstream {
    Http2Upstream::for_host(HOST).start(|request: &Request| match request.index % 2 {
        0 => Http2Response::refused(),
        _ => Http2Response::ok("up"),
    })
}

fn serve(frames: &mut Frames, body: &str) -> io::Result<()> {
    loop {
        let stream = frames.read_request()?;
        frames.respond(stream, body.as_bytes())?;
    }
}

/// Sends requests from four clients at once, half of them POST, by host name and to a service.
fn assert_none_of_1000_is_lost(proxy: &Proxy, check: impl Fn(&str) + Sync) {
    let check = &check;
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                let mut connection = proxy.connect();
                let mut seen = HashSet::new();
                for number in 0..250 {
                    let (method, body) = [("GET", ""), ("POST", "body")][number % 2];
                    let path = format!("{client}/{number}");
                    let (target, upstream_target) = match number / 2 % 2 {
                        0 => (format!("/{HOST}/{path}"), format!("/{path}")),
                        _ => (format!("/queue/v1/{path}"), format!("/api/queue/v1/{path}")),
                    };
                    connection.send(support::request(method, &target, body));
                    let response = connection.response();
                    let received = (response.status(), response.complete);
                    assert_eq!(received, (200, true), "{method} {target}: {response:?}");
                    assert!(seen.insert(upstream_target.clone()));
                    check(&upstream_target);
                }
            });
        }
    });
}
