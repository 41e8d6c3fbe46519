//! Errors of the proxy itself if there is no response from an upstream (docs/compatibility.md, Q12).
//! Errors in requests are tested in `routes.rs`, `bewit.rs` and `put_credentials.rs`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use support::{ClosedPort, Folder, Proxy, ScriptedResponse, Tls, Upstream, request};

#[test]
fn a_refused_connection_is_a_502() {
    let port = ClosedPort::take();
    let proxy = Proxy::in_front_of(port.root_url()).start();
    let message = proxy.get("/api/queue/v1/x?bewit=b").assert_error(502, "UpstreamUnreachable");
    let expected = format!("no response from {}: cannot connect: ", port.root_url());
    assert!(message.starts_with(&expected) && message.contains("refused"), "{message}");
}

#[test]
fn an_unknown_host_is_a_502() {
    let proxy = Proxy::in_front_of("http://tc.invalid").start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    assert!(
        message.starts_with("no response from http://tc.invalid: cannot connect: "),
        "{message}"
    );
}

#[test]
fn an_invalid_certificate() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let trusted = Tls::for_host("localhost").start(&upstream);
    let other = Tls::for_host("elsewhere.example.test").start(&upstream);
    let old = Tls::for_host("localhost").valid([2001, 2002]).start(&upstream);
    let young = Tls::for_host("localhost").valid([3001, 3002]).start(&upstream);
    for (tls, authority, why) in [
        (&trusted, &other, "was not issued by a certificate that is trusted"),
        (&other, &other, "is for another name"),
        (&old, &old, "has expired"),
        (&young, &young, "is not yet valid"),
    ] {
        let origin = format!("https://localhost:{}", tls.address().port());
        let proxy = Proxy::in_front_of(&origin)
            .env("SSL_CERT_FILE", authority.authority())
            .args(["--log-level", "debug"])
            .start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        let expected = format!("no response from {origin}: cannot connect: TLS: ");
        assert!(message.starts_with(&expected) && message.contains(why), "{message}");
        // It is not retried, as it would fail again. The access log line is the last one.
        proxy.wait_for_log("status=502");
        assert!(!proxy.log().contains("retrying"), "{}", proxy.log());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn root_certificates_that_cannot_be_read_are_a_502() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    for (name, value) in [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")] {
        let proxy = Proxy::in_front_of(format!("https://localhost:{}", upstream.address().port()))
            .env(name, value)
            .start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        assert!(message.contains(&format!("cannot set up TLS: {name}")), "{message}");
    }
}

/// A launcher may set a variable that its system has no file for.
#[test]
fn one_of_two_variables_without_root_certificates_is_a_warning() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let tls = Tls::for_host("localhost").start(&upstream);
    let folder = Folder::new();
    folder.put("a", fs::read(tls.authority()).unwrap());
    let readable = [tls.authority().to_owned(), folder.path(".")].map(PathBuf::into_os_string);
    let [file, directory] = &readable;
    let empty = folder.put("empty.pem", "");
    for (file, directory, unusable) in [
        (OsStr::new("/nowhere"), directory.as_os_str(), "SSL_CERT_FILE"),
        (empty.as_os_str(), directory, "SSL_CERT_FILE"),
        (file, OsStr::new("/nowhere"), "SSL_CERT_DIR"),
    ] {
        let proxy = Proxy::in_front_of(format!("https://localhost:{}", tls.address().port()))
            .env("SSL_CERT_FILE", file)
            .env("SSL_CERT_DIR", directory)
            .start();
        assert_eq!(proxy.get("/api/queue/v1/x").status(), 200, "{unusable}");
        proxy.wait_for_log(&format!("level=WARN message=\"{unusable}"));
    }
}

#[test]
fn root_certificates_of_both_variables_are_trusted() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let [first, second, other] = [(); 3].map(|()| Tls::for_host("localhost").start(&upstream));
    let folder = Folder::new();
    folder.put("second", fs::read(second.authority()).unwrap());
    let get = |tls: &Tls| {
        Proxy::in_front_of(format!("https://localhost:{}", tls.address().port()))
            .env("SSL_CERT_FILE", first.authority())
            .env("SSL_CERT_DIR", folder.path("."))
            .start()
            .get("/api/queue/v1/x")
    };
    assert_eq!([get(&first).status(), get(&second).status()], [200; 2]);
    let message = get(&other).assert_error(502, "UpstreamUnreachable");
    let expected = "Trusted are the certificates of SSL_CERT_FILE, 1, and of SSL_CERT_DIR, 1;";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_forward_proxy_that_rejects_connect_is_a_502() {
    let forward_proxy = Upstream::start([ScriptedResponse::status(407)]);
    let proxy = Proxy::in_front_of("https://tc.example.test")
        .env("HTTPS_PROXY", forward_proxy.root_url())
        .start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    let expected = "it responded to CONNECT tc.example.test:443 with 407";
    assert!(
        message.contains(&format!("proxy {}: {expected}", forward_proxy.root_url())),
        "{message}"
    );
}

/// Takes 30 seconds, the default retry budget.
#[test]
fn an_upstream_that_does_not_respond_is_a_504_after_the_retry_budget() {
    let reset = ScriptedResponse::nothing().then_reset();
    let upstream = Upstream::start([reset, ScriptedResponse::nothing().then_stall()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect().with_double_timeout();
    connection.send(request("GET", "/api/queue/v1/x", ""));
    let message = connection.response().assert_error(504, "UpstreamTimedOut");
    let expected = format!("{} timed out: ", upstream.root_url());
    assert!(message.starts_with(&expected) && message.contains("30 s of retries"), "{message}");
}

#[test]
fn errors_of_the_upstream_are_forwarded() {
    let body = r#"{"code": "InternalServerError", "message": "m", "requestInfo": {}}"#;
    let json = [("Content-Type", "application/json")];
    let upstream = Upstream::start([ScriptedResponse::new(404, &json, body)]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
    assert_eq!((response.status(), response.text()), (404, body));
}

#[test]
fn a_connection_stays_open_after_an_error() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    for (method, target, status) in [
        ("GET", "/nowhere", 404),
        ("PUT", "/bewit", 405),
        ("POST", "/bewit", 400),
        ("PUT", "/credentials", 400),
        ("PUT", "/nowhere", 404),
        ("GET", "/api/queue/v1/x", 200),
    ] {
        connection.send(request(method, target, if method == "GET" { "" } else { "body" }));
        assert_eq!(connection.response().status(), status, "{method} {target}");
    }
}
