//! Error responses of the proxy itself when there is none from upstream (docs/compatibility.md, Q12).
//! Errors in requests are tested in `routes.rs`, `bewit.rs` and `put_credentials.rs`.

use std::net::{Ipv4Addr, TcpListener};
use support::{Proxy, ScriptedResponse, Tls, Upstream, request};

#[test]
fn a_refused_connection() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let proxy = Proxy::in_front_of(format!("http://{closed}")).start();
    let message = proxy.get("/api/queue/v1/x?bewit=b").assert_error(502, "UpstreamUnreachable");
    let expected = format!("no response from http://{closed}: cannot connect: ");
    assert!(message.starts_with(&expected) && message.contains("refused"), "{message}");
}

#[test]
fn an_unknown_host() {
    let proxy = Proxy::in_front_of("http://tc.invalid").start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    assert!(
        message.starts_with("no response from http://tc.invalid: cannot connect: "),
        "{message}"
    );
}

#[test]
fn a_response_that_is_not_http() {
    for response in [
        ScriptedResponse::bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ScriptedResponse::bytes("HTTP/1.1 OK\r\n\r\n"),
        ScriptedResponse::bytes("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").then_close(),
        ScriptedResponse::bytes(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        ),
        ScriptedResponse::bytes("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        ScriptedResponse::bytes("HTTP/1.1 200 OK\r\nX: y").then_close(),
    ] {
        let upstream = Upstream::start([response]);
        let tls = Tls::for_host("h.example.test").behind_proxy().start(&upstream);
        let proxy = Proxy::in_front_of("https://h.example.test")
            .env("HTTPS_PROXY", format!("http://{}", tls.address()))
            .env("SSL_CERT_FILE", tls.authority())
            .start();
        // A request by host name that is not idempotent is not retried, which saves time.
        let response = proxy.call("POST", "/h.example.test/x", "body");
        let message = response.assert_error(502, "UpstreamUnreachable");
        assert!(message.starts_with("no response from https://h.example.test: "), "{message}");
        assert_eq!(upstream.requests().len(), 1);
    }
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
        // It would be the same the next time. What comes of it is logged last.
        proxy.wait_for_log("status=502");
        assert!(!proxy.log().contains("trying again"), "{}", proxy.log());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn certificates_that_cannot_be_read() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(format!("https://localhost:{}", upstream.address().port()))
        .env("SSL_CERT_FILE", "/nowhere.pem")
        .start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    assert!(message.contains("cannot set up TLS: SSL_CERT_FILE"), "{message}");
}

#[test]
fn a_forward_proxy_that_refuses() {
    let way = Upstream::start([ScriptedResponse::status(407)]);
    let proxy =
        Proxy::in_front_of("https://tc.example.test").env("HTTPS_PROXY", way.root_url()).start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    let expected = "it responded to CONNECT tc.example.test:443 with 407";
    assert!(message.contains(&format!("proxy {}: {expected}", way.root_url())), "{message}");
}

/// Takes 30 seconds, the budget of all retries.
#[test]
fn a_response_that_times_out() {
    let reset = ScriptedResponse::nothing().then_reset();
    let upstream = Upstream::start([reset, ScriptedResponse::nothing().then_stall()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect().with_double_timeout();
    connection.send(request("GET", "/api/queue/v1/x", ""));
    let message = connection.response().assert_error(504, "UpstreamTimedOut");
    let expected = format!("no response from {} in time: ", upstream.root_url());
    assert!(message.starts_with(&expected) && message.contains("30 seconds"), "{message}");
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
