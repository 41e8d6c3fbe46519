//! No log line contains a secret (docs/compatibility.md, S8), whatever the requests, the log level and the
//! log format. Other output is tested in `credentials/secrets.rs`.

use support::{ProcessOutput, Proxy, Request, ScriptedResponse, Upstream, certificate};

#[test]
fn no_log_line_contains_a_secret() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/queue/v1/broken" => ScriptedResponse::nothing().then_reset(),
        "/api/queue/v1/failing" => ScriptedResponse::new(500, &[("X-Secret", "canary")], "canary"),
        _ => ScriptedResponse::new(200, &[("Set-Cookie", "canary")], "canary"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_ACCESS_TOKEN", "canary-token")
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:b"]).to_string())
        .args(["--log-level", "trace", "a:b"])
        .start();
    for (method, target, body) in [
        ("PUT", "/api/queue/v1/x", "canary"),
        ("POST", "/api/queue/v1/failing", "canary"),
        ("PUT", "/api/queue/v1/broken", "canary"),
        ("GET", "/api/queue/v1/x?bewit=canary", ""),
        ("GET", "/queue?bewit=canary", ""),
        ("GET", "/127.0.0.1/x?bewit=canary", ""),
        ("GET", "http://x/api/queue/v1/x?bewit=canary", ""),
        ("POST", "/bewit?canary", "https://tc.example.com/x?canary"),
        ("POST", "/bewit", "canary"),
        ("POST", "/bewit", "ftp://canary@tc.example.com/"),
        ("POST", "/bewit", "https://user:canary@tc.example.com/"),
        ("POST", "/credentials", "canary"),
        ("PUT", "/credentials", "canary"),
        ("PUT", "/credentials", r#"{"clientId": ["canary"]}"#),
        ("PUT", "/credentials", r#"{"clientId": "c", "accessToken": {"canary": 1}}"#),
        (
            "PUT",
            "/credentials",
            r#"{"clientId": "c", "accessToken": "canary", "certificate": "canary"}"#,
        ),
        ("PUT", "/credentials", r#"{"clientId": "c", "accessToken": "canary-new"}"#),
        ("GET", "/api/queue/v1/x", ""),
    ] {
        proxy.call(method, target, body);
    }
    let head = "GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nCookie: canary\r\n\
                Authorization: Bearer canary\r\n";
    proxy.exchange(format!("{head}\r\n"));
    proxy.exchange(format!("{head}canary\r\n\r\n"));
    let mut cut = proxy.connect();
    cut.send("PUT /api/queue/v1/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncanary");
    upstream.wait_for("the cut request", |requests| {
        requests.iter().any(|request| request.header("content-length") == Some("100")).then_some(())
    });
    cut.reset();
    proxy.wait_for_log("method=PUT path=/api/queue/v1/cut");
    let log = proxy.whole_log();
    assert!(log.contains("method=PUT path=/credentials status=200"), "{log}");
    let ProcessOutput { stdout, stderr, .. } = proxy.kill();
    assert!(!format!("{stdout}{stderr}").contains("canary"), "{stdout}{stderr}");
}

#[test]
fn no_error_of_a_failed_start_contains_a_secret() {
    for args in [
        &["--certificate", "canary", "--port", "x"][..],
        &["--certificate", r#"{"version": "canary"}"#, "--port", "x"],
        &["--access-tokencanary"],
        &["--access-token", "canary", "--access-token", "canary"],
        &["--access-token=canary", "--port", "x"],
        &["--root-url", "http://canary@tc.example.com"],
    ] {
        let finished = Proxy::in_front_of("http://127.0.0.1:1").args(args).run();
        let line = finished.error_line();
        assert!(!line.contains("canary"), "{line}");
    }
}

#[test]
fn no_json_log_line_contains_a_secret_whatever_rust_log_is() {
    let upstream =
        Upstream::start([ScriptedResponse::new(200, &[("Set-Cookie", "canary")], "canary")]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .args(["--log-format", "json"])
        .env("TASKCLUSTER_ACCESS_TOKEN", "canary-token")
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:b"]).to_string())
        .env("RUST_LOG", "trace,hyper=trace,hyper_util=trace,rustls=trace,mio=trace")
        .start();
    proxy.exchange(
        "PUT /api/queue/v1/x?canary HTTP/1.1\r\nHost: x\r\nAuthorization: canary\r\n\
         Content-Length: 6\r\n\r\ncanary",
    );
    proxy.call("PUT", "/credentials", r#"{"clientId": "c", "accessToken": ["canary"]}"#);
    proxy.call("PUT", "/credentials", r#"{"clientId": "c", "accessToken": "canary-new"}"#);
    proxy.wait_for_log("\"path\":\"/credentials\",\"status\":200");
    assert!(!proxy.log().contains("canary"), "{}", proxy.log());
}
