//! SOCKS5 proxies (RFC 1928, RFC 1929), used as by the Go program: they resolve host names, with socks5
//! as well as with socks5h in the URL.

#![cfg(target_os = "linux")]

use support::hawk::Claim;
use support::{ClosedPort, Proxy, ProxyBuilder, ScriptedResponse, Socks, Tls, Upstream};

/// A host name that only the SOCKS proxy can resolve.
const HOST: &str = "tc.example.test";
const LOGIN: Option<[&str; 2]> = Some(["user", "p@ss"]);

#[test]
fn http_and_https_requests_go_through_the_socks_proxy() {
    let Some(socks) = Socks::start(HOST, None) else { return };
    let upstream = Upstream::start([ScriptedResponse::ok("through")]);
    let tls = Tls::for_host(HOST).start(&upstream);
    let http2 = Tls::for_host(HOST).http2().start(&upstream);
    for scheme in ["socks5", "socks5h"] {
        let url = format!("{scheme}://{}", socks.address());
        let proxy = tc("http", upstream.address().port()).env("ALL_PROXY", &url).start();
        assert_eq!(proxy.get("/api/queue/v1/a//b").text(), "through");
        let request = upstream.last_request();
        // Only an HTTP proxy would require the absolute form.
        assert_eq!(request.target(), "/api/queue/v1/a//b");
        Claim::of(&request).assert_signed_with("no-secret");
        for tls in [&tls, &http2] {
            let proxy = tc("https", tls.address().port())
                .env("HTTPS_PROXY", &url)
                .env("SSL_CERT_FILE", tls.authority())
                .start();
            assert_eq!(proxy.get("/api/queue/v1/a//b").text(), "through");
            Claim::of_tls(&upstream.last_request()).assert_signed_with("no-secret");
        }
    }
}

#[test]
fn connections_through_the_socks_proxy_are_reused() {
    let Some(socks) = Socks::start(HOST, None) else { return };
    let upstream = Upstream::start([ScriptedResponse::ok("through")]);
    let url = format!("socks5://{}", socks.address());
    let proxy = tc("http", upstream.address().port()).env("HTTP_PROXY", url).start();
    for _ in 0..3 {
        assert_eq!(proxy.get("/api/queue/v1/x").text(), "through");
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (3, 1));
}

#[test]
fn only_the_socks_proxy_gets_the_login() {
    let Some(socks) = Socks::start(HOST, LOGIN) else { return };
    let upstream = Upstream::start([ScriptedResponse::ok("through")]);
    let with = |login: &str| {
        let url = format!("socks5://{login}{}", socks.address());
        tc("http", upstream.address().port()).env("HTTP_PROXY", url).start()
    };
    assert_eq!(with("user:p%40ss@").get("/api/queue/v1/x").text(), "through");
    assert_eq!(upstream.last_request().header("proxy-authorization"), None);
    for (login, why) in [
        ("user:cAnArY@", "it does not accept the user and password of its URL"),
        ("", "it requires a login"),
    ] {
        let proxy = with(login);
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        let expected = format!("cannot connect: proxy socks5://{}: {why}", socks.address());
        assert!(message.contains(&expected), "{message}");
        assert!(!message.contains("cAnArY") && !proxy.whole_log().contains("cAnArY"));
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_socks_proxy_that_requires_no_login_is_used_without_one() {
    let Some(socks) = Socks::start(HOST, None) else { return };
    let upstream = Upstream::start([ScriptedResponse::ok("through")]);
    let url = format!("socks5://user:p%40ss@{}", socks.address());
    let proxy = tc("http", upstream.address().port()).env("HTTP_PROXY", url).start();
    assert_eq!(proxy.get("/api/queue/v1/x").text(), "through");
}

#[test]
fn an_unreachable_host_is_an_error_with_the_reason() {
    let Some(socks) = Socks::start(HOST, None) else { return };
    let closed = ClosedPort::take().address().port();
    let url = format!("socks5://{}", socks.address());
    for (host, why) in [(HOST, "connection refused"), ("other.example.test", "")] {
        let proxy = Proxy::in_front_of(format!("http://{host}:{closed}"))
            .env("HTTP_PROXY", &url)
            .args(["--retry-budget", "0"])
            .start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        let expected = format!("proxy {url}: it cannot connect to {host}:{closed}: {why}");
        assert!(message.contains(&expected), "{message}");
    }
}

fn tc(scheme: &str, port: u16) -> ProxyBuilder {
    Proxy::in_front_of(format!("{scheme}://{HOST}:{port}"))
}
