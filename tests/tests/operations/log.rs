//! Log lines about requests and credentials, as text and as JSON.

use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{
    Proxy, ProxyBuilder, Request, Response, ScriptedResponse, Upstream, certificate, request,
};

const REQUEST_ID: &str = "x-taskcluster-proxy-request-id";

fn as_json(upstream: &Upstream) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--log-format", "json"])
}

/// The log line of the request with this response; fails unless there is exactly one.
fn line_of(proxy: &Proxy, response: &Response) -> Value {
    let id = response.header(REQUEST_ID).expect("each response has an id");
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let log = proxy.whole_log();
    let lines = log.lines().filter(|line| line.contains(id));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a JSON object"));
    let [line] = lines
        .filter(|line| line["message"] == "request")
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|lines| panic!("expected one line of the request, found {lines:?}"));
    line
}

#[test]
fn json_lines_have_all_fields_of_a_request() {
    let upstream =
        Upstream::start([ScriptedResponse::status(503), ScriptedResponse::new(201, &[], "four")]);
    let proxy = as_json(&upstream).start();
    let response = proxy.call("PUT", "/queue/v1/task/x?bewit=canary", "abc");
    let line = line_of(&proxy, &response);
    for (field, expected) in [
        ("level", "INFO".into()),
        ("message", "request".into()),
        ("method", "PUT".into()),
        ("path", "/queue/v1/task/x".into()),
        ("status", 201.into()),
        ("upstream", Value::from(upstream.root_url())),
        ("attempts", 2.into()),
        ("bytes_in", 3.into()),
        ("bytes_out", 4.into()),
        ("outcome", "complete".into()),
        ("note", Value::Null),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    // The first retry is sent after at least 75 ms.
    assert!((75.0..30_000.0).contains(&line["duration_ms"].as_f64().unwrap()), "{line}");
    assert!(line["timestamp"].as_str().unwrap().starts_with("20"), "{line}");
    for line in proxy.log().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn responses_of_the_proxy_itself_have_ids_and_log_lines() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = as_json(&upstream).start();
    let mut ids = Vec::new();
    for (request, status, path) in [
        (request("GET", "/queue", ""), 404, "/queue"),
        (request("PUT", "/credentials", "[]"), 400, "/credentials"),
        (request("POST", "/bewit", "https://tc.example.com/x"), 303, "/bewit"),
    ] {
        let response = proxy.exchange(request);
        let line = line_of(&proxy, &response);
        assert_eq!((response.status(), &line["status"]), (status, &status.into()), "{line}");
        assert_eq!((&line["path"], &line["attempts"]), (&path.into(), &Value::Null), "{line}");
        assert!(line["note"].is_string() && line["upstream"].is_null(), "{line}");
        ids.push(response.header(REQUEST_ID).unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_upstream_cannot_forge_the_request_id() {
    let forged = "HTTP/1.1 200 \r\nX-TASKCLUSTER-PROXY-REQUEST-ID: forged\r\n\r\n";
    let upstream = Upstream::start([ScriptedResponse::bytes(forged).then_close()]);
    let proxy = as_json(&upstream).start();
    let response = proxy.get("/api/queue/v1/ping");
    assert_eq!(response.head.all(REQUEST_ID).len(), 1);
    line_of(&proxy, &response);
}

#[test]
fn log_lines_have_the_outcome() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/queue/v1/cut" => ScriptedResponse::truncated(9, "four"),
        _ => ScriptedResponse::nothing().then_stall(),
    });
    let proxy = as_json(&upstream).start();
    assert!(!proxy.get("/api/queue/v1/cut").complete);
    let line = proxy.wait_for_json_log("/v1/cut");
    assert_eq!((&line["outcome"], &line["status"]), (&"truncated".into(), &200.into()), "{line}");
    assert_eq!(line["bytes_out"], 4, "{line}");
    assert!(line["note"].as_str().unwrap().contains("truncated"), "{line}");

    let mut client = proxy.connect();
    client.send(request("GET", "/api/queue/v1/gone", ""));
    upstream.wait_for_requests(2);
    drop(client);
    let line = proxy.wait_for_json_log("/v1/gone");
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&"client_closed".into(), &Value::Null),
        "{line}"
    );
    assert_eq!(line["attempts"], 1, "{line}");
    assert!(line["note"].as_str().unwrap().contains("sending side"), "{line}");
}

#[test]
#[cfg(unix)]
fn a_request_aborted_by_shutdown_is_logged() {
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let proxy = as_json(&upstream).args(["--drain-timeout", "0"]).start();
    let mut client = proxy.connect();
    client.send(request("GET", "/api/queue/v1/x", ""));
    upstream.wait_for_requests(1);
    proxy.signal("TERM");
    let line = proxy.wait_for_json_log("/v1/x");
    assert_eq!(line["outcome"], "truncated", "{line}");
    assert!(line["note"].as_str().unwrap().contains("--drain-timeout"), "{line}");
}

#[test]
fn text_lines_have_each_field_once() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let id = proxy.get("/api/queue/v1/ping").header(REQUEST_ID).unwrap().to_owned();
    let line = proxy.wait_for_log(&id);
    assert!(line.starts_with("timestamp=20"), "{line}");
    let fields = "level=INFO message=request method=GET path=/api/queue/v1/ping status=200 \
                  upstream=http://127.0.0.1:";
    assert!(line.contains(fields), "{line}");
    assert!(line.contains(" attempts=1 bytes_in=0 bytes_out=5 outcome=complete request_id="));
    assert_eq!(line.matches("/api/queue").count(), 1, "{line}");
}

#[test]
fn each_line_of_a_request_has_its_id() {
    let refusal = r#"{"code":"InsufficientScopes","message":"Client ID tester does not have sufficient scopes and is missing the following scopes:\n\n```\nc:d\n```\n\nThis request requires the client to satisfy the following scope expression:\n\n```\nc:d\n```"}"#;
    let date = ("Date", "Thu, 01 Jan 2026 00:00:00 GMT");
    for format in ["text", "json"] {
        let json = [("Content-Type", "application/json")];
        let upstream = Upstream::start([
            ScriptedResponse::status(503),
            ScriptedResponse::new(401, &[date], ""),
            ScriptedResponse::new(403, &json, refusal),
        ]);
        let args = ["--log-format", format, "--log-level", "debug"];
        let proxy = Proxy::in_front_of(upstream.root_url()).args(args).args(["a:b"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.status(), 403);
        let id = response.header(REQUEST_ID).unwrap();
        for text in
            ["retrying", "this machine's clock is wrong", "refused the request", "/api/queue/v1/x"]
        {
            let line = proxy.wait_for_log(text);
            assert!(line.contains(id), "{text}: {line}");
        }
    }
}

#[test]
fn an_error_for_a_failed_upstream_has_the_outcome_error() {
    let proxy = Proxy::in_front_of(support::ClosedPort::take().root_url())
        .args(["--log-format", "json", "--retry-budget", "0"])
        .start();
    let response = proxy.get("/api/queue/v1/x");
    let line = line_of(&proxy, &response);
    assert_eq!((&line["status"], &line["outcome"]), (&502.into(), &"error".into()), "{line}");
    let response = proxy.get("/nowhere");
    let line = line_of(&proxy, &response);
    assert_eq!((&line["status"], &line["outcome"]), (&404.into(), &"complete".into()), "{line}");
}

#[test]
fn the_log_level_option_overrides_rust_log() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    for (variable, option, debug) in [
        ("debug", None, true),
        ("taskcluster_proxy=debug,hyper=trace", None, true),
        ("debug", Some("info"), false),
        ("nonsense=", None, false),
    ] {
        let builder = Proxy::in_front_of(upstream.root_url()).env("RUST_LOG", variable);
        let proxy = match option {
            Some(level) => builder.args(["--log-level", level]).start(),
            None => builder.start(),
        };
        let mut client = proxy.connect();
        // A connection that ends within a request is logged at debug level.
        client.send("GET /api/queue/v1/x HTTP");
        client.reset();
        let id = proxy.get("/api/queue/v1/x").header(REQUEST_ID).unwrap().to_owned();
        proxy.wait_for_log(&id);
        assert_eq!(proxy.log().contains(" level=DEBUG "), debug, "{variable} {option:?}");
    }
}

#[test]
fn there_are_warnings_before_the_certificate_expires_and_when_it_has() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let mut short = certificate(&["a:b"]);
    let long = short.to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // Services accept a certificate for 5 minutes after its expiry.
    const TOLERANCE: Duration = Duration::from_secs(5 * 60);
    let expiry = now + Duration::from_secs(2) - TOLERANCE;
    short["expiry"] = (expiry.as_millis() as u64).into();
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", short.to_string())
        .start();
    proxy.wait_for_log("; services accept them for 5 minutes after that: send new ones");
    proxy.wait_for_log(", and the 5 minutes for which services still accept them are over");
    let update = |certificate: &str| {
        let credentials = serde_json::json!({
            "clientId": "new", "accessToken": "no-secret", "certificate": certificate,
        });
        assert_eq!(proxy.call("PUT", "/credentials", credentials.to_string()).status(), 200);
    };
    update(&long);
    let before = proxy.whole_log().matches("WARN").count();
    assert_eq!(before, 2, "one of each, and none for a certificate that is valid for an hour");
    short["expiry"] = 1.into();
    update(&short.to_string());
    proxy.wait_for_log("the certificate expired ");
    assert_eq!(proxy.whole_log().matches("WARN").count(), 3);
}

#[test]
fn an_expiry_after_the_year_9999_is_logged_as_the_end_of_that_year() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    for expiry in [253_402_300_800_000, u64::MAX] {
        let mut certificate = certificate(&[]);
        certificate["expiry"] = expiry.into();
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", certificate.to_string())
            .start();
        assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);
        proxy.wait_for_log("until Fri, 31 Dec 9999 23:59:59 GMT");
    }
}

#[test]
fn trace_context_is_forwarded() {
    let upstream = Upstream::start([ScriptedResponse::new(200, &[("traceresponse", "00-b")], "")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let response = proxy.exchange(format!(
        "GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\ntraceparent: {parent}\r\n\
         tracestate: congo=t61rcWkgMzE\r\n\r\n"
    ));
    let request = upstream.last_request();
    assert_eq!(request.header("traceparent"), Some(parent));
    assert_eq!(request.header("tracestate"), Some("congo=t61rcWkgMzE"));
    assert_eq!(response.header("traceresponse"), Some("00-b"));
}
