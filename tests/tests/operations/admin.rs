//! The admin listener: health, readiness, metrics and status for operators, not for tasks.

use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;
use support::admin::{assert_samples, value};
use support::users::{DAEMON, as_user, can_switch_users};
use support::{
    Folder, Latch, Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream, certificate, clients,
    request, skip,
};

fn with_admin(upstream: &Upstream) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--admin", "127.0.0.1:0"])
}

#[test]
fn requests_are_counted_by_outcome() {
    let upstream = Upstream::start(|request: &Request| match (request.target(), request.index) {
        ("/api/queue/v1/stumbles", 0) => ScriptedResponse::status(503).then_close(),
        ("/api/queue/v1/stumbles", 1) => ScriptedResponse::nothing().before_body().then_reset(),
        ("/api/index/v1/cut", _) => ScriptedResponse::truncated(9, "four"),
        _ => ScriptedResponse::ok("hello"),
    });
    let proxy = with_admin(&upstream).start();
    let before = proxy.metrics();
    proxy.call("PUT", "/api/queue/v1/stumbles", "abc");
    proxy.get("/secrets/v1/x");
    proxy.get("/my-own/v1/x");
    proxy.call("BREW", "/api/queue/v1/x", "");
    proxy.get("/api/index/v1/cut");
    proxy.get("/nowhere");
    proxy.call("POST", "/bewit", "https://tc.example.com/x");
    proxy.call("PUT", "/credentials", "[]");
    proxy.call("PUT", "/credentials", r#"{"clientId":"new","accessToken":"x"}"#);
    // Bytes that are not a request only count as a connection.
    assert_eq!(proxy.exchange("nonsense\r\n\r\n").status(), 400);
    proxy.get("/last");
    // The log line and the metrics of a request are written together, after the response has ended.
    proxy.wait_for_log("path=/last status=404");
    let after = proxy.metrics();
    for (service, method, status, outcome) in [
        ("queue", "PUT", "2xx", "complete"),
        ("secrets", "GET", "2xx", "complete"),
        ("other", "GET", "2xx", "complete"),
        ("queue", "other", "2xx", "complete"),
        ("index", "GET", "2xx", "truncated"),
        ("bewit", "POST", "3xx", "complete"),
        ("credentials", "PUT", "4xx", "complete"),
        ("credentials", "PUT", "2xx", "complete"),
    ] {
        let sample = format!(
            "requests_total{{service=\"{service}\",method=\"{method}\",status=\"{status}\",\
             outcome=\"{outcome}\"}}"
        );
        assert_eq!(
            (value(&before, &sample), value(&after, &sample)),
            (None, Some(1.0)),
            "{sample}"
        );
    }
    let lines = after.lines().filter(|line| line.contains("requests_total{"));
    let none = |line: &&str| line.contains("service=\"none\"");
    let (none, of_services): (Vec<&str>, Vec<&str>) = lines.partition(none);
    assert_eq!(of_services.len(), 8, "{after}");
    let gets = none.iter().find(|line| line.contains("method=\"GET\",status=\"4xx\""));
    assert!(gets.is_some_and(|line| line.ends_with(" 2")), "{none:?}");
    assert_samples(
        &after,
        &[
            ("upstream_latency_seconds_count{service=\"queue\"}", 2.0),
            ("upstream_latency_seconds_bucket{service=\"queue\",le=\"+Inf\"}", 2.0),
            // Two retries take longer than this.
            ("upstream_latency_seconds_bucket{service=\"queue\",le=\"0.1\"}", 1.0),
            ("retries_total{reason=\"status\"}", 1.0),
            ("retries_total{reason=\"broken\"}", 1.0),
            ("retries_total{reason=\"connect\"}", 0.0),
            ("received_bytes_total", f64::from(3 + 24 + 2 + 36)),
            ("credential_updates_total{source=\"put\",result=\"taken\"}", 1.0),
            ("credential_updates_total{source=\"put\",result=\"refused\"}", 1.0),
            ("connections_total", 11.0),
            ("requests_in_flight", 0.0),
            ("replay_buffer_bytes", 0.0),
            ("replay_buffer_limit_bytes", 4.0 * 1024.0 * 1024.0),
            ("draining", 0.0),
        ],
    );
    assert!(after.contains("taskcluster_proxy_build_info{version=\"0."), "{after}");
    assert_eq!(value(&after, "certificate_expires_in_seconds"), None);
}

#[test]
fn requests_in_flight_are_visible() {
    let latch = Latch::new();
    let upstream = Upstream::start([ScriptedResponse::nothing().then_wait(&latch).then_close()]);
    let proxy = with_admin(&upstream).env("TASKCLUSTER_CERTIFICATE", certificate(&[]).to_string());
    let proxy = proxy.start();
    let mut client = proxy.connect();
    client.send(request("PUT", "/api/queue/v1/x", [b'x'; 1000]));
    upstream.wait_for_requests(1);
    let page = proxy.metrics();
    assert_samples(
        &page,
        &[("requests_in_flight", 1.0), ("connections", 1.0), ("replay_buffer_bytes", 1000.0)],
    );
    let left = value(&page, "certificate_expires_in_seconds").unwrap();
    assert!((3500.0..3600.0).contains(&left), "{left}");
    latch.open();
}

#[test]
fn promtool_accepts_the_metrics() {
    let Some(mut promtool) = clients::promtool() else {
        return skip("promtool is missing: run tests/run, which fetches it");
    };
    let upstream = Upstream::start([ScriptedResponse::status(503), ScriptedResponse::ok("hello")]);
    let proxy = with_admin(&upstream).env("TASKCLUSTER_CERTIFICATE", certificate(&[]).to_string());
    let proxy = proxy.start();
    proxy.get("/api/queue/v1/x");
    proxy.wait_for_log("/api/queue/v1/x");
    let page = proxy.metrics();
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool runs");
    checking.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = checking.wait_with_output().unwrap();
    let output = [checked.stdout, checked.stderr].concat();
    let output = String::from_utf8_lossy(&output);
    assert!(checked.status.success() && output.is_empty(), "{}: {output}\n{page}", checked.status);
}

#[test]
#[cfg(target_os = "linux")]
fn rejected_peers_are_counted() {
    if !can_switch_users(&[]) {
        return;
    }
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = with_admin(&upstream).args(["--allowed-user", "nobody"]).start();
    let port = proxy.address().port();
    // Sends a line and waits until the connection is closed or reset.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo GET >&3; cat <&3; true");
    let output = as_user(DAEMON, "bash").args(["-c", &script]).output().expect("setpriv runs");
    assert!(output.stdout.is_empty(), "{output:?}");
    let page = proxy.metrics();
    assert_samples(
        &page,
        &[
            ("rejected_connections_total{reason=\"user\"}", 1.0),
            ("rejected_connections_total{reason=\"network\"}", 0.0),
            ("connections_total", 1.0),
            ("connections", 0.0),
        ],
    );
}

#[test]
fn readiness_ends_when_the_credentials_expire() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let mut expired = certificate(&[]);
    expired["expiry"] = 1.into();
    let proxy = with_admin(&upstream).env("TASKCLUSTER_CERTIFICATE", expired.to_string()).start();
    let health = proxy.get_admin("/healthz");
    assert_eq!((health.status(), health.text()), (200, "ok\n"));
    let ready = proxy.get_admin("/readyz");
    let expected = "the credentials expired on Thu, 01 Jan 1970 00:00:00 GMT\n";
    assert_eq!((ready.status(), ready.text()), (503, expected));
    proxy.call("PUT", "/credentials", r#"{"clientId":"new","accessToken":"x"}"#);
    let ready = proxy.get_admin("/readyz");
    assert_eq!((ready.status(), ready.text()), (200, "ok\n"));
}

#[test]
#[cfg(unix)]
fn the_admin_listener_responds_while_the_proxy_drains() {
    let latch = Latch::new();
    let upstream = Upstream::start([ScriptedResponse::nothing().then_wait(&latch).then_close()]);
    let proxy = with_admin(&upstream).start();
    let mut client = proxy.connect();
    client.send(request("GET", "/api/queue/v1/x", ""));
    upstream.wait_for_requests(1);
    proxy.signal("TERM");
    proxy.wait_for_log("stopped by SIGTERM");
    let ready = proxy.get_admin("/readyz");
    assert_eq!((ready.status(), ready.text()), (503, "draining: the proxy is stopping\n"));
    assert_eq!(proxy.get_admin("/healthz").status(), 200);
    assert_eq!(value(&proxy.metrics(), "draining"), Some(1.0));
    let status = proxy.get_admin("/status").json();
    assert_eq!((&status["draining"], &status["ready"]), (&true.into(), &false.into()), "{status}");
}

#[test]
fn the_status_shows_the_credentials_without_secrets() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = with_admin(&upstream)
        .env("TASKCLUSTER_ACCESS_TOKEN", "canary-token")
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:b"]).to_string())
        .args(["c:d"])
        .start();
    let response = proxy.get_admin("/status");
    assert!(!response.text().contains("canary"), "{}", response.text());
    assert!(!proxy.metrics().contains("canary"));
    let status = response.json();
    let credentials = &status["credentials"];
    for (found, expected) in [
        (&status["version"], json!(env!("CARGO_PKG_VERSION"))),
        (&status["rootUrl"], json!(upstream.root_url())),
        (&status["listening"], json!([proxy.address().to_string()])),
        (&status["ready"], json!(true)),
        (&status["notReadyBecause"], Value::Null),
        (&credentials["clientId"], json!("tester")),
        (&credentials["temporary"], json!(true)),
        (&credentials["findings"], json!([])),
        (&credentials["scopes"], json!(["a:b"])),
        (&credentials["authorizedScopes"], json!(["c:d"])),
    ] {
        assert_eq!(found, &expected, "{status:#}");
    }
    assert!((3500..3600).contains(&credentials["expiresInSeconds"].as_i64().unwrap()), "{status}");
}

#[test]
fn the_status_shows_defects_of_the_credentials() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = with_admin(&upstream).env("TASKCLUSTER_CERTIFICATE", r#"{"version":2}"#).start();
    let credentials = || proxy.get_admin("/status").json()["credentials"].clone();
    let found = credentials();
    let [finding] = found["findings"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let finding = finding.as_str().unwrap();
    assert!(finding.contains("`version`: expected 1, found another number"), "{finding}");
    assert_eq!((&found["temporary"], &found["expiry"]), (&json!(true), &Value::Null));
    assert_eq!(found["scopes"], json!([]));
    proxy.wait_for_log(finding);
    // Ready, as the services judge credentials; but not ready with credentials that cannot sign.
    assert_eq!(proxy.get_admin("/readyz").status(), 200);
    let unusable = r#"{"clientId":"c","accessToken":"t","certificate":"canary"}"#;
    assert_eq!(proxy.call("PUT", "/credentials", unusable).status(), 200);
    let ready = proxy.get_admin("/readyz");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().starts_with("the certificate is not a JSON object"), "{ready:?}");
    assert_eq!(credentials()["clientId"], json!("c"));
}

#[test]
fn the_admin_listener_is_off_by_default_and_has_its_own_port() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = with_admin(&upstream).start();
    for path in ["/healthz", "/readyz", "/metrics", "/status"] {
        assert_eq!(proxy.get(path).status(), 404, "{path}");
    }
    assert_eq!(proxy.get_admin("/api/queue/v1/ping").status(), 404);
    let refused = support::exchange(proxy.admin_address(), request("PUT", "/metrics", "x"));
    assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(upstream.requests().len(), 0);

    let in_use = proxy.address().to_string();
    let second = Proxy::in_front_of(upstream.root_url()).args(["--port", "0", "--admin", &in_use]);
    let finished = second.run();
    assert_eq!(finished.status.code(), Some(1));
    let expected = format!("--admin: cannot listen on {in_use}: ");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);

    let off = Proxy::in_front_of(upstream.root_url()).start();
    assert!(!off.log().contains("admin"), "{}", off.log());
}

#[test]
#[cfg(unix)]
fn the_admin_listener_can_be_a_unix_socket() {
    use std::io::Read as _;
    let folder = Folder::new();
    let path = folder.path("admin.socket");
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let address = format!("unix:{}", path.display());
    let builder = Proxy::in_front_of(upstream.root_url()).args(["--admin", &address]);
    // The first proxy leaves its socket behind. The second one replaces it and removes it at its end.
    builder.clone().start().kill();
    let proxy = builder.start();
    proxy.wait_for_log(&format!("admin at {address}"));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nok\n"),
        "{response}"
    );
    proxy.signal("TERM");
    assert_eq!(proxy.wait().status.code(), Some(0));
    assert!(!path.exists(), "the socket is left behind");
}
