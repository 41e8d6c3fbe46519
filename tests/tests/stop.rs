//! The proxy is told to stop: what is in flight finishes, nothing new begins, and the exit status
//! says how it went.

#![cfg(unix)]

use std::net::TcpStream;
use stories::http1::Body;
use stories::{Answer, Finished, Gate, Proxy, Upstream, request};

/// The exit status when something was cut off.
const CUT: Option<i32> = Some(3);

fn get() -> Vec<u8> {
    request("GET", "/api/queue/v1/ping", "")
}

/// 200 with the first half of its body; the second comes when the gate is opened.
fn in_halves(gate: &Gate) -> Answer {
    Answer::bytes("HTTP/1.1 200 \r\nContent-Length: 8\r\n\r\nhalf").then_wait(gate).then("half")
}

fn tell_to_stop(proxy: &Proxy, signal: &str) {
    proxy.signal(signal);
    proxy.wait_for_log(&format!("stopped by SIG{signal}"));
}

#[test]
fn a_download_in_flight_is_finished() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::new();
        let upstream = Upstream::start([in_halves(&gate)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(get());
        let head = client.head();
        let mut body = Body::of_response(&head, "GET");
        client.body_until(&mut body, "half");
        tell_to_stop(&proxy, signal);
        gate.open();
        assert_eq!(client.body_until(&mut body, "half"), b"half");
        assert_eq!(client.read_to_end(), b"");
        let Finished { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), Some(0), "{stderr}");
    }
}

#[test]
fn an_answer_that_begins_after_it_is_the_last_on_its_connection() {
    let gate = Gate::new();
    let ok = "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nup";
    let late = Answer::nothing().then_wait(&gate).then(ok);
    let upstream = Upstream::start([Answer::ok("one"), late]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let (mut client, mut own) = (proxy.connect(), proxy.connect());
    client.send(get());
    let first = client.response();
    assert_eq!((first.text(), first.header("connection")), ("one", None));
    client.send(get());
    upstream.wait_for_requests(2);
    // Of this one the head has begun to come.
    let (begun, rest) =
        (b"PUT /creden", b"tials HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]");
    own.send(begun);
    tell_to_stop(&proxy, "TERM");
    own.send(rest);
    let refused = own.response();
    assert_eq!((refused.status(), refused.header("connection")), (400, Some("close")));
    gate.open();
    let last = client.response();
    assert_eq!((last.text(), last.header("connection")), ("up", Some("close")));
    assert_eq!((client.read_to_end(), own.read_to_end()), (vec![], vec![]));
    drop((client, own));
    assert_eq!(proxy.wait().status.code(), Some(0));
}

#[test]
fn idle_connections_close_at_once_and_nobody_gets_in_any_more() {
    let gate = Gate::new();
    let upstream = Upstream::start([Answer::ok("one"), in_halves(&gate)]);
    let builder = Proxy::in_front_of(upstream.root_url());
    let proxy = builder.clone().start();
    let mut idle = proxy.connect();
    idle.send(get());
    assert_eq!(idle.response().text(), "one");
    let mut fresh = proxy.connect();
    let mut busy = proxy.connect();
    busy.send(get());
    busy.head();
    tell_to_stop(&proxy, "TERM");
    assert_eq!(idle.read_to_end(), b"");
    assert_eq!(fresh.read_to_end(), b"");
    assert!(TcpStream::connect(proxy.address()).is_err(), "somebody listens");
    // Its successor does not have to wait for it.
    let next = builder.port(proxy.address().port()).start();
    gate.open();
    assert_eq!(next.get("/api/queue/v1/ping").text(), "halfhalf");
    assert_eq!(busy.read_to_end(), b"halfhalf");
    assert_eq!(proxy.wait().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let upstream = Upstream::start([Answer::nothing().then_stall()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        client.send(get());
        upstream.wait_for_requests(1);
        tell_to_stop(&proxy, first);
        proxy.signal(second);
        assert_eq!(client.read_to_end(), b"");
        let Finished { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), CUT, "{stderr}");
        let expected = format!("1 connection is aborted by a second signal, SIG{second}");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn the_wait_is_bounded() {
    for timeout in ["0", "0.1"] {
        let upstream = Upstream::start([Answer::nothing().then_stall()]);
        let builder = Proxy::in_front_of(upstream.root_url()).args(["--drain-timeout", timeout]);
        let idle = builder.clone().start();
        let _connection = idle.connect();
        idle.signal("TERM");
        assert_eq!(idle.wait().status.code(), Some(0), "{timeout}: nothing is in flight");

        let proxy = builder.start();
        let mut client = proxy.connect();
        client.send(get());
        upstream.wait_for_requests(1);
        proxy.signal("TERM");
        assert_eq!(client.read_to_end(), b"");
        let Finished { status, stderr, .. } = proxy.wait();
        assert_eq!(status.code(), CUT, "{stderr}");
        let expected = format!("1 connection is aborted after {timeout} s (--drain-timeout)");
        assert!(stderr.contains(&expected), "{stderr}");
        upstream.wait_for_ends(1);
    }
}
