//! Clock skew, and responses whose `Date` is wrong: the time with which requests are signed.

use crate::diagnosis::{HOUR, date, diagnosis};
use std::time::SystemTime;
use support::hawk::Claim;
use support::{Latch, Proxy, Request, ScriptedResponse, Upstream};

#[test]
fn clock_skew_is_measured_and_corrected() {
    let upstream = Upstream::start(|request: &Request| {
        let date = date(HOUR);
        let signed_at = Claim::of(request).assert_signed_with("no-secret").ts;
        match unix(SystemTime::now() + HOUR).abs_diff(signed_at) {
            0..60 => ScriptedResponse::new(200, &[("Date", date.as_str())], "right"),
            _ => ScriptedResponse::new(401, &[("Date", date.as_str())], "stale"),
        }
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    for attempts in [2, 3] {
        client.send("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.response().text(), "right");
        let requests = upstream.requests();
        assert_eq!(requests.len(), attempts);
        assert!(requests.iter().all(|request| request.body == b"body"));
    }
    proxy.wait_for_log("this machine's clock is wrong");
}

/// A gateway sets a Date that differs from the service's clock, which agrees with this machine's.
#[test]
fn a_wrong_date_of_a_gateway_is_dropped_after_one_401() {
    let upstream = behind_gateway(|| date(HOUR));
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for attempts in [1, 3, 4] {
        assert_eq!(proxy.get("/api/queue/v1/x").text(), "right");
        assert_eq!(upstream.requests().len(), attempts);
    }
    proxy.wait_for_log("requests are signed with this machine's time again");
}

/// Two gateways, one of which is ahead and one behind.
#[test]
fn wrong_dates_that_differ_are_dropped_as_well() {
    let mut ahead = false;
    let upstream = behind_gateway(move || {
        ahead = !ahead;
        let now = SystemTime::now();
        httpdate::fmt_http_date(if ahead { now + HOUR } else { now - HOUR })
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for attempts in [1, 4, 5] {
        assert_eq!(proxy.get("/api/queue/v1/x").text(), "right");
        assert_eq!(upstream.requests().len(), attempts);
    }
}

/// A service whose clock agrees with this machine's, behind a gateway that sets the `Date`.
fn behind_gateway(mut date: impl FnMut() -> String + Send + 'static) -> Upstream {
    Upstream::start(move |request: &Request| {
        let date = date();
        let signed_at = Claim::of(request).assert_signed_with("no-secret").ts;
        match unix(SystemTime::now()).abs_diff(signed_at) {
            0..60 => ScriptedResponse::new(200, &[("Date", date.as_str())], "right"),
            _ => ScriptedResponse::new(401, &[("Date", date.as_str())], STALE),
        }
    })
}

/// The clock skew is corrected, and a request is refused again: for another reason, or with both times.
#[test]
fn a_401_does_not_undo_a_correction() {
    let upstream = Upstream::start(|request: &Request| {
        let signed_at = Claim::of(request).assert_signed_with("no-secret").ts;
        let is_right = unix(SystemTime::now() + HOUR).abs_diff(signed_at) < 60;
        let (status, body) = match request.target() {
            "/api/queue/v1/no" => (401, "no"),
            "/api/queue/v1/x" if is_right => (200, ""),
            _ => (401, STALE),
        };
        ScriptedResponse::new(status, &[("Date", date(HOUR).as_str())], body)
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for (path, status, attempts, expected) in [
        ("x", 200, 2, ""),
        ("no", 401, 3, ""),
        (
            "stale",
            401,
            5,
            "the service refuses the time in the signature, which agrees with the Date ",
        ),
        ("x", 200, 6, ""),
    ] {
        let response = proxy.get(&format!("/api/queue/v1/{path}"));
        assert_eq!((response.status(), upstream.requests().len()), (status, attempts), "{path}");
        assert!(diagnosis(&response).starts_with(expected), "{response:?}");
        assert_eq!(diagnosis(&response).is_empty(), expected.is_empty(), "{response:?}");
    }
}

/// The first 401 corrects the skew; the other requests were signed before that.
#[test]
fn requests_in_flight_when_the_skew_is_corrected_are_signed_again() {
    const AT_ONCE: usize = 8;
    let all_received = Latch::new();
    let latch = all_received.clone();
    let upstream = Upstream::start(move |request: &Request| {
        let date = date(HOUR);
        let signed_at = Claim::of(request).assert_signed_with("no-secret").ts;
        match unix(SystemTime::now() + HOUR).abs_diff(signed_at) {
            0..60 => ScriptedResponse::new(200, &[("Date", date.as_str())], "right"),
            _ => {
                let stale = format!("HTTP/1.1 401 \r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
                ScriptedResponse::nothing().then_wait(&latch).then(stale)
            }
        }
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut clients = [(); AT_ONCE].map(|()| proxy.connect());
    for client in &mut clients {
        client.send("GET /a/v1/b HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    upstream.wait_for_requests(AT_ONCE);
    all_received.open();
    for mut client in clients {
        assert_eq!(client.response().text(), "right");
    }
    assert_eq!(upstream.requests().len(), 2 * AT_ONCE);
    proxy.wait_for_log("this machine's clock is wrong");
    assert_eq!(proxy.log().matches("this machine's clock is wrong").count(), 1);
}

#[test]
fn a_401_with_another_reason_than_clock_skew_is_retried_once() {
    const WRONG_KEY: &str =
        r#"{"code":"AuthenticationFailed","message":"Unauthorized: Bad mac\n\n---\n\n* method:"}"#;
    for (body, expected) in [("no", ""), (WRONG_KEY, "the signature does not match (Bad mac): ")] {
        let upstream = Upstream::start(move |_: &Request| {
            ScriptedResponse::new(401, &[("Date", date(HOUR).as_str())], body)
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        for requests in [2, 4] {
            let response = proxy.get("/api/queue/v1/x");
            assert_eq!((response.status(), response.text()), (401, body));
            assert!(diagnosis(&response).starts_with(expected), "{response:?}");
            assert_eq!(diagnosis(&response).is_empty(), expected.is_empty(), "{response:?}");
            assert_eq!(upstream.requests().len(), requests);
        }
        // One warning for each response with a diagnosis, and none about the clock.
        let warnings = if expected.is_empty() { 0 } else { 2 };
        assert_eq!(proxy.whole_log().matches("level=WARN").count(), warnings, "{}", proxy.log());
    }
}

const STALE: &str = r#"{"code":"AuthenticationFailed","message":"Unauthorized: Stale timestamp"}"#;

/// Without retries the request is not signed again, and the diagnosis explains the service's message.
#[test]
fn clock_skew_is_explained_if_the_request_is_not_signed_again() {
    let upstream = Upstream::start(move |_: &Request| {
        ScriptedResponse::new(401, &[("Date", date(HOUR).as_str())], STALE)
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--retry-budget", "0"]).start();
    let response = proxy.get("/api/queue/v1/x");
    assert!(diagnosis(&response).starts_with("this machine's clock is "), "{response:?}");
    assert!(diagnosis(&response).ends_with(" behind the service's: set it"), "{response:?}");
    assert_eq!(upstream.requests().len(), 1);
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
