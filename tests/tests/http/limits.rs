//! Each option for timeouts and limits in `--help` has its effect.

use std::time::Duration;
use support::{ClosedPort, Proxy, Request, Response, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn an_incomplete_header_section_times_out() {
    let upstream = Upstream::start([ScriptedResponse::ok("")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--head-timeout", "0.2"]).start();
    let mut nothing = proxy.connect();
    let mut half = proxy.connect();
    half.send(&GET[..GET.len() - 2]);
    assert_eq!((nothing.read_to_end(), half.read_to_end()), (vec![], vec![]));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_idle_client_times_out() {
    let upstream = Upstream::start([ScriptedResponse::ok("")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--head-timeout", "0.2"]).start();
    let mut client = proxy.connect();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn a_response_may_take_longer_than_the_head_timeout() {
    let upstream =
        Upstream::start([ScriptedResponse::nothing().then_trickle("HTTP/1.1 204 \r\n\r\n", TENTH)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--head-timeout", "0.2"]).start();
    assert_eq!(proxy.exchange(GET).status(), 204);
}

#[test]
#[cfg(target_os = "linux")] // Elsewhere a full queue refuses connections.
fn connecting_times_out() {
    let upstream = support::UnresponsiveAddress::at(ClosedPort::take());
    let address = upstream.address();
    let limits = ["--connect-timeout", "0.1"];
    let proxy = Proxy::in_front_of(format!("http://{address}")).args(limits).start();
    let response = proxy.exchange(GET);
    assert_eq!(response.status(), 504);
    assert_eq!(response.json()["code"], "UpstreamTimedOut");
    let message = response.json()["message"].to_string();
    assert!(message.contains("no connection within 0.1 s"), "{message}");
    assert!(message.contains(&format!("no response from {address}")), "{message}");
    proxy.wait_for_log("attempts=1");
}

#[test]
fn an_idle_connection_is_kept_no_longer_than_the_upstream_idle_timeout() {
    let upstream = Upstream::start([ScriptedResponse::ok("")]);
    let limits = ["--upstream-idle-timeout", "0.2"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(limits).start();
    assert_eq!(proxy.exchange(GET).status(), 200);
    upstream.wait_for_closed_connections(1);
    assert_eq!(proxy.exchange(GET).status(), 200);
    upstream.wait_for_closed_connections(2);
}

#[test]
fn no_idle_connection_is_kept_if_the_timeout_is_0() {
    let upstream = Upstream::start([ScriptedResponse::ok("")]);
    let limits = ["--upstream-idle-timeout", "0"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(limits).start();
    for _ in 0..3 {
        assert_eq!(proxy.exchange(GET).status(), 200);
    }
    upstream.wait_for_closed_connections(3);
}

#[test]
fn a_body_that_fits_the_replay_buffer_is_retried() {
    for (option, length, expected) in [
        ("--replay-buffer", 1024, 200),
        ("--replay-buffer", 1025, 503),
        ("--replay-total", 1024, 200),
        ("--replay-total", 1025, 503),
    ] {
        let (status, requests) = exchange_after_503(&[option, "1"], length);
        assert_eq!(status, expected, "{option} with {length} bytes");
        assert!(requests.iter().all(|request| request.body_length == length as u64));
    }
}

#[test]
fn without_a_replay_buffer_only_requests_without_a_body_are_retried() {
    for option in ["--replay-buffer", "--replay-total"] {
        assert_eq!(exchange_after_503(&[option, "0"], 0).0, 200);
        assert_eq!(exchange_after_503(&[option, "0"], 1).0, 503);
    }
}

#[test]
fn the_replay_buffer_of_a_finished_request_is_released() {
    let upstream = Upstream::start(|request: &Request| {
        if request.index.is_multiple_of(2) {
            ScriptedResponse::status(503)
        } else {
            ScriptedResponse::ok("")
        }
    });
    let limits = ["--replay-total", "1"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(limits).start();
    for _ in 0..5 {
        assert_eq!(post(&proxy, 1000).status(), 200);
    }
}

#[test]
fn a_retry_beyond_the_budget_ends_with_the_previous_response() {
    let responses = [
        ScriptedResponse::new(503, &[("x-first", "1")], "busy"),
        ScriptedResponse::nothing().then_stall(),
    ];
    let upstream = Upstream::start(responses);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--retry-budget", "1"]).start();
    let response = proxy.exchange(GET);
    assert_eq!((response.status(), response.text(), response.complete), (503, "busy", true));
    assert_eq!(response.header("x-first"), Some("1"));
    assert_eq!(upstream.requests().len(), 2);
    upstream.wait_for_closed_connections(1);
}

#[test]
fn a_retry_beyond_the_budget_without_a_previous_response_is_a_504() {
    let responses =
        [ScriptedResponse::nothing().then_close(), ScriptedResponse::nothing().then_stall()];
    let upstream = Upstream::start(responses);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--retry-budget", "1"]).start();
    let response = proxy.exchange(GET);
    assert_eq!((response.status(), &response.json()["code"]), (504, &"UpstreamTimedOut".into()));
    upstream.wait_for_closed_connections(2);
}

#[test]
fn a_budget_of_0_disables_retries() {
    assert_eq!(exchange_after_503(&["--retry-budget", "0"], 0).0, 503);
}

#[test]
fn the_budget_does_not_limit_an_upload_that_cannot_be_retried() {
    let port = ClosedPort::take();
    let limits = ["--retry-budget", "1", "--replay-buffer", "1", "--log-level", "debug"];
    let proxy = Proxy::in_front_of(port.root_url()).args(limits).start();
    let mut client = proxy.connect();
    client.send("POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n");
    client.send([b'x'; 2000]);
    proxy.wait_for_log("retrying");
    let slow = ScriptedResponse::nothing().then_trickle("HTTP/1.1 204 \r\n\r\n", 2 * TENTH);
    let _upstream = Upstream::start_at(port, [slow]);
    assert_eq!(client.response().status(), 204);
}

/// Long in comparison to the proxy's own steps, and short for a test.
const TENTH: Duration = Duration::from_millis(100);

fn post(proxy: &Proxy, length: usize) -> Response {
    let head = "POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length";
    proxy.exchange(format!("{head}: {length}\r\n\r\n{}", "x".repeat(length)))
}

/// Sends a request with a body of this length to an upstream that responds 503 to the first attempt;
/// returns the status, and the requests that the upstream received.
fn exchange_after_503(limits: &[&str], length: usize) -> (u16, Vec<Request>) {
    let upstream = Upstream::start([ScriptedResponse::status(503), ScriptedResponse::ok("")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(limits).start();
    (post(&proxy, length).status(), upstream.requests())
}
