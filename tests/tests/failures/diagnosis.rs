//! When a service refuses a request, the proxy adds a diagnosis.

use serde_json::json;
use std::time::{Duration, SystemTime};
use support::hawk::Claim;
use support::{Latch, Proxy, Request, Response, ScriptedResponse, Tls, Upstream, certificate};

const HEADER: &str = "x-taskcluster-proxy-diagnosis";
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_error_response_is_forwarded_unchanged_with_a_diagnosis() {
    let upstream = Upstream::start([ScriptedResponse::new(401, &[("X-Kept", "1")], "no")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.get("/api/queue/v1/x?bewit=abc");
    let received = (response.status(), response.text(), response.header("x-kept"));
    assert_eq!(received, (401, "no", Some("1")));
    assert!(diagnosis(&response).starts_with("the URL carries a bewit"), "{response:?}");
    proxy.wait_for_log("refused it: the URL carries a bewit");
}

#[test]
fn other_responses_have_no_diagnosis_and_cannot_forge_one() {
    for (status, body) in [(200, ""), (401, ""), (403, "{}"), (404, "")] {
        let forged = [("X-Taskcluster-Proxy-Diagnosis", "forged")];
        let upstream = Upstream::start([ScriptedResponse::new(status, &forged, body)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        assert_eq!(proxy.get("/api/queue/v1/x").header(HEADER), None, "{status}");
    }
}

#[test]
fn missing_scopes_are_named_with_who_lacks_them() {
    let block = "```\nqueue:create-task:a\nsecrets:get:b\n```\n\nneeds\n```\nc:d\n```";
    let body = json!({ "code": "InsufficientScopes", "message": block }).to_string();
    let head = "HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = ScriptedResponse::bytes(head).then_chunk(&body[..9]).then_chunk(&body[9..]);
    for response in [ScriptedResponse::new(403, &[], body.as_str()), chunks.then("0\r\n\r\n")] {
        let upstream = Upstream::start([response]);
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", certificate(&["queue:*"]).to_string())
            .args(["secrets:*"])
            .start();
        let mut client = proxy.connect();
        for _ in 0..2 {
            client.send("GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n\r\n");
            let response = client.response();
            assert_eq!((response.status(), response.text()), (403, body.as_str()));
            assert_eq!(
                diagnosis(&response),
                "the scopes that requests are restricted to (those of the task) lack \
                 [\"queue:create-task:a\"]; the scopes of the certificate lack [\"secrets:get:b\"]"
            );
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn errors_of_the_sandbox_are_diagnosed() {
    let proxy = Proxy::sandbox().args(["queue:*"]).start();
    let response = proxy.get("/api/secrets/v1/secret/a");
    assert_eq!(response.status(), 403);
    assert!(diagnosis(&response).ends_with("lack [\"secrets:get:a\"]"), "{response:?}");
}

#[test]
fn over_http2_too() {
    let body = json!({ "message": "```\nsecrets:get:b\n```" }).to_string();
    let upstream = Upstream::start([ScriptedResponse::new(403, &[], body.as_str())]);
    let tls = Tls::for_host("tc.example.test").behind_proxy().http2().start(&upstream);
    let proxy = Proxy::in_front_of("https://tc.example.test")
        .env("HTTPS_PROXY", format!("http://{}", tls.address()))
        .env("SSL_CERT_FILE", tls.authority())
        .args(["queue:*"])
        .start();
    let response = proxy.get("/api/queue/v1/x");
    assert_eq!((response.status(), response.text()), (403, body.as_str()));
    assert!(diagnosis(&response).ends_with("lack [\"secrets:get:b\"]"), "{response:?}");
}

#[test]
fn responses_of_other_hosts_are_not_diagnosed() {
    let upstream =
        Upstream::start([ScriptedResponse::new(401, &[("Date", date(HOUR).as_str())], "")]);
    let tls = Tls::for_host("files.example.test").behind_proxy().start(&upstream);
    let proxy = Proxy::in_front_of("https://tc.example.test")
        .env("HTTPS_PROXY", format!("http://{}", tls.address()))
        .env("SSL_CERT_FILE", tls.authority())
        .start();
    assert_eq!(proxy.get("/files.example.test/x?bewit=a").header(HEADER), None);
    assert_eq!(upstream.requests().len(), 1);
}

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

/// The first 401 corrects the clock; the other requests were signed before that.
#[test]
fn requests_in_flight_at_the_correction_are_signed_again() {
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
    assert_eq!(proxy.log().matches("this machine's clock is wrong").count(), 1);
}

#[test]
fn a_401_for_another_reason_is_retried_only_once() {
    let upstream = Upstream::start(|_: &Request| {
        ScriptedResponse::new(401, &[("Date", date(HOUR).as_str())], "no")
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for requests in [2, 4] {
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!((response.status(), response.text()), (401, "no"));
        assert!(diagnosis(&response).starts_with("this machine's clock is "), "{response:?}");
        assert_eq!(upstream.requests().len(), requests);
    }
}

#[test]
fn an_expired_certificate_is_named() {
    let day = 24 * HOUR;
    let upstream = Upstream::start(move |_: &Request| {
        ScriptedResponse::new(401, &[("Date", date(400 * day).as_str())], "no")
    });
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["*"]).to_string())
        .start();
    let message = diagnosis(&proxy.get("/api/queue/v1/x")).to_owned();
    assert!(message.starts_with("the certificate expired "), "{message}");
}

#[test]
fn defects_of_the_credentials_are_named_first() {
    for status in [401, 403] {
        let upstream = Upstream::start([ScriptedResponse::new(status, &[], "no")]);
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", r#"{"version":1,"scopes":null,"seed":"canary"}"#)
            .start();
        let response = proxy.get("/api/queue/v1/x?bewit=abc");
        let expected = "the certificate is not as the services expect it (`scopes`: expected an \
                        array of scopes, found null; `start`: ";
        assert!(diagnosis(&response).starts_with(expected), "{response:?}");
        assert!(!diagnosis(&response).contains("canary"), "{response:?}");
        proxy.wait_for_log("refused it: the certificate is not as the services expect it");
    }
}

fn diagnosis(response: &Response) -> &str {
    response.header(HEADER).unwrap_or_default()
}

/// A time so much later than now, in the format of HTTP.
fn date(later: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + later)
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
