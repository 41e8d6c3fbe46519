//! HTTP and HTTPS forward proxies, configured by environment variables as for the Go program. SOCKS
//! proxies are tested in `socks.rs`.

use std::fs;
use support::hawk::Claim;
use support::{ClosedPort, Folder, Proxy, ProxyBuilder, ScriptedResponse, Tls, Upstream};

#[test]
fn an_invalid_proxy_variable_is_reported_at_the_start() {
    for (variable, value) in [
        ("HTTP_PROXY", "http://user:cAnArY@[bad"),
        ("https_proxy", "socks4://user:cAnArY@proxy.example.test"),
        ("ALL_PROXY", "ftp://user:cAnArY@proxy.example.test"),
        ("HTTP_PROXY", "http://user:cAnArY@127.0.0.1:99999"),
        ("HTTPS_PROXY", "http://user:12#cAnArY@127.0.0.1:3128"),
    ] {
        let finished = Proxy::in_front_of("http://tc.example.test").env(variable, value).run();
        assert!(!finished.status.success());
        assert!(finished.stderr.contains(&format!("{variable}: expected the URL of a proxy")));
        assert!(!finished.stderr.contains("cAnArY"), "{}", finished.stderr);
    }
}

#[test]
fn http_requests_go_to_the_http_proxy_in_absolute_form() {
    let forward_proxy = Upstream::start([ScriptedResponse::ok("through the forward proxy")]);
    let proxy = tc("http").env("HTTP_PROXY", with_user(&forward_proxy)).start();
    let response = proxy.get("/api/queue/v1/a%2F//..;b?c??");
    assert_eq!((response.status(), response.text()), (200, "through the forward proxy"));
    let request = forward_proxy.last_request();
    assert_eq!(request.target(), "http://tc.example.test:81/api/queue/v1/a%2F//..;b?c??");
    assert_eq!(request.head.all("host"), ["tc.example.test:81"]);
    // `user:p@ss`
    assert_eq!(request.head.all("proxy-authorization"), ["Basic dXNlcjpwQHNz"]);
    Claim::of(&request).assert_signed_with("no-secret");
}

#[test]
fn proxy_authorization_of_the_client_is_not_forwarded() {
    let forward_proxy = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = tc("http").env("HTTP_PROXY", forward_proxy.root_url()).start();
    proxy.exchange(
        "GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic x\r\n\r\n",
    );
    assert_eq!(forward_proxy.last_request().header("proxy-authorization"), None);
}

#[test]
fn https_requests_go_through_a_tunnel() {
    let upstream = Upstream::start([ScriptedResponse::ok("through")]);
    let tls = Tls::for_host("tc.example.test").behind_proxy().start(&upstream);
    let proxy = tc("https")
        .env("HTTPS_PROXY", format!("http://user:p%40ss@{}", tls.address()))
        .env("SSL_CERT_FILE", tls.authority())
        .start();
    for _ in 0..2 {
        assert_eq!(proxy.get("/api/queue/v1/a//b").text(), "through");
        let request = upstream.last_request();
        assert_eq!(request.target(), "/api/queue/v1/a//b");
        // Proxy-Authorization is only sent to the proxy.
        assert_eq!(request.header("proxy-authorization"), None);
        Claim::of_tls(&request).assert_signed_with("no-secret");
    }
    // The second request used the same tunnel.
    let [connect] = tls.connects().try_into().unwrap();
    assert_eq!(connect.start_line(), "CONNECT tc.example.test:81 HTTP/1.1");
    assert_eq!(connect.all("host"), ["tc.example.test:81"]);
    assert_eq!(connect.all("proxy-authorization"), ["Basic dXNlcjpwQHNz"]);
    assert_eq!(connect.header("authorization"), None);
}

#[test]
fn each_scheme_uses_its_own_proxy_or_that_of_all_proxy() {
    for (scheme, name, used) in [
        ("http", "HTTP_PROXY", true),
        ("http", "http_proxy", true),
        ("http", "ALL_PROXY", true),
        ("http", "HTTPS_PROXY", false),
        ("https", "HTTPS_PROXY", true),
        ("https", "https_proxy", true),
        ("https", "all_proxy", true),
        ("https", "HTTP_PROXY", false),
    ] {
        // A 403, as it is not retried.
        let forward_proxy = Upstream::start([ScriptedResponse::status(403)]);
        let proxy = tc(scheme).env(name, forward_proxy.root_url()).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(forward_proxy.requests().len(), usize::from(used), "{scheme} {name}");
        assert_eq!(response.status(), if (scheme, used) == ("http", true) { 403 } else { 502 });
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    let cases = [
        ("tc.example.test", false),
        ("example.test", false),
        (".example.test", false),
        ("other.test, tc.example.test", false),
        ("*", false),
        ("*.example.test", false),
        ("tc.example.test:81", false),
        ("TC.Example.Test:82", true),
        ("xample.test", true),
        ("other.test", true),
        ("", true),
    ];
    // Concurrently, as requests without a response take some time.
    std::thread::scope(|scope| {
        for (no_proxy, used) in cases {
            scope.spawn(move || {
                let forward_proxy = Upstream::start([ScriptedResponse::status(403)]);
                let proxy = tc("http").env("HTTP_PROXY", forward_proxy.root_url());
                proxy.env("NO_PROXY", no_proxy).start().get("/api/queue/v1/x");
                assert_eq!(forward_proxy.requests().len(), usize::from(used), "{no_proxy:?}");
            });
        }
    });
}

#[test]
fn loopback_is_always_reached_directly() {
    let forward_proxy = Upstream::start([ScriptedResponse::status(403)]);
    let upstream = Upstream::start([ScriptedResponse::ok("directly")]);
    let port = upstream.address().port();
    for host in ["127.0.0.1", "localhost"] {
        let proxy = Proxy::in_front_of(format!("http://{host}:{port}"))
            .env("HTTP_PROXY", forward_proxy.root_url())
            .env("ALL_PROXY", forward_proxy.root_url())
            .start();
        assert_eq!(proxy.get("/api/queue/v1/x").text(), "directly", "{host}");
    }
    assert_eq!(forward_proxy.requests().len(), 0);
}

#[test]
fn http_requests_go_to_an_https_proxy_in_absolute_form() {
    let forward_proxy = Upstream::start([ScriptedResponse::ok("through the forward proxy")]);
    let tls = Tls::for_host("127.0.0.1").start(&forward_proxy);
    let proxy = tc("http")
        .env("HTTP_PROXY", format!("https://user:p%40ss@{}", tls.address()))
        .env("SSL_CERT_FILE", tls.authority())
        .start();
    for _ in 0..2 {
        assert_eq!(proxy.get("/api/queue/v1/a//b?c").text(), "through the forward proxy");
        let request = forward_proxy.last_request();
        assert_eq!(request.target(), "http://tc.example.test:81/api/queue/v1/a//b?c");
        assert_eq!(request.head.all("proxy-authorization"), ["Basic dXNlcjpwQHNz"]);
        Claim::of(&request).assert_signed_with("no-secret");
    }
    // The second request used the same connection.
    assert_eq!(forward_proxy.connections(), 1);
}

#[test]
fn https_requests_go_through_a_tunnel_of_an_https_proxy() {
    for http2 in [false, true] {
        let upstream = Upstream::start([ScriptedResponse::ok("through")]);
        let inner = Tls::for_host("tc.example.test").behind_proxy();
        let inner = if http2 { inner.http2() } else { inner }.start(&upstream);
        let outer = Tls::for_host("127.0.0.1").start_in_front_of(inner.address());
        let roots = [&inner, &outer].map(|tls| fs::read_to_string(tls.authority()).unwrap());
        let (folder, roots) = (Folder::new(), roots.concat());
        let proxy = tc("https")
            .env("HTTPS_PROXY", format!("https://user:p%40ss@{}", outer.address()))
            .env("SSL_CERT_FILE", folder.put("roots.pem", roots))
            .start();
        // More than the buffers on the way can hold.
        let body = vec![b'x'; 5_000_000];
        for body in [&b"small"[..], &body] {
            assert_eq!(proxy.call("PUT", "/api/queue/v1/a//b", body).text(), "through");
            let request = upstream.last_request();
            assert_eq!((request.target(), request.body == body), ("/api/queue/v1/a//b", true));
            assert_eq!(request.header("proxy-authorization"), None);
            Claim::of_tls(&request).assert_signed_with("no-secret");
        }
        // With HTTP/1.1 a request that cannot be sent twice uses a new connection.
        assert_eq!(inner.connects().len(), if http2 { 1 } else { 2 });
        for connect in inner.connects() {
            assert_eq!(connect.start_line(), "CONNECT tc.example.test:81 HTTP/1.1");
            assert_eq!(connect.all("proxy-authorization"), ["Basic dXNlcjpwQHNz"]);
        }
    }
}

/// The login is not sent to a server that may be another one.
#[test]
fn the_certificate_of_an_https_proxy_must_be_valid() {
    let forward_proxy = Upstream::start([ScriptedResponse::ok("through the forward proxy")]);
    let unknown = Tls::for_host("127.0.0.1").start(&forward_proxy);
    let other = Tls::for_host("elsewhere.example.test").start(&forward_proxy);
    let old = Tls::for_host("127.0.0.1").valid([2001, 2002]).start(&forward_proxy);
    for (tls, trusted, why) in [
        (&unknown, &other, "was not issued by a certificate that is trusted"),
        (&other, &other, "is for another name"),
        (&old, &old, "has expired"),
    ] {
        for (scheme, variable) in [("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY")] {
            let url = format!("https://{}", tls.address());
            let proxy = tc(scheme)
                .env(variable, url.replace("//", "//user:cAnArY@"))
                .env("SSL_CERT_FILE", trusted.authority())
                .start();
            let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
            let expected = format!("cannot connect: proxy {url}: TLS: its certificate");
            assert!(message.contains(why), "{message}");
            assert!(message.contains(&expected), "{message}");
            assert!(!proxy.whole_log().contains("cAnArY"));
        }
    }
    assert_eq!(forward_proxy.connections(), 0);
}

#[test]
fn a_forward_proxy_that_cannot_be_reached_is_named() {
    for scheme in ["http", "https", "socks5"] {
        let closed = ClosedPort::take();
        let url = format!("{scheme}://user:cAnArY@{}", closed.address());
        let proxy = tc("http").env("HTTP_PROXY", url).args(["--retry-budget", "0"]).start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        let expected = format!("cannot connect: proxy {scheme}://{}: ", closed.address());
        assert!(message.contains(&expected) && message.contains("refused"), "{message}");
        assert!(!proxy.whole_log().contains("cAnArY"));
    }
}

#[test]
fn a_forward_proxy_that_opens_a_tunnel_and_fails_then_is_named() {
    let established = "HTTP/1.1 200 \r\n\r\n";
    for (response, status, why) in [
        (ScriptedResponse::bytes(established).then_close(), 502, "TLS: "),
        (ScriptedResponse::bytes(established).then_stall(), 504, "accepted the connection, and"),
        (ScriptedResponse::nothing().then_stall(), 504, "accepted the connection, and"),
    ] {
        let forward_proxy = Upstream::start([response]);
        let proxy = tc("https")
            .env("HTTPS_PROXY", forward_proxy.root_url())
            .args(["--retry-budget", "0", "--connect-timeout", "1"])
            .start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.status(), status);
        let expected = format!("proxy {}: ", forward_proxy.root_url());
        let text = response.text();
        assert!(text.contains(&expected) && text.contains(why), "{text}");
    }
}

/// It may be temporary, as a refused connection.
#[test]
fn a_tunnel_that_fails_with_503_is_requested_again() {
    for (status, requests) in [(503, 6), (403, 1)] {
        let forward_proxy = Upstream::start([ScriptedResponse::status(status)]);
        let proxy = tc("https").env("HTTPS_PROXY", forward_proxy.root_url()).start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        assert!(message.contains(&format!("with {status} ")), "{message}");
        assert_eq!(forward_proxy.requests().len(), requests);
    }
}

#[test]
fn the_check_names_the_forward_proxy() {
    let forward_proxy = Upstream::start([ScriptedResponse::ok("{}")]);
    let url = with_user(&forward_proxy);
    let finished = tc("http").env("HTTP_PROXY", url).args(["--check", "--port", "0"]).run();
    let expected = format!("through the proxy http://{}", forward_proxy.address());
    assert!(finished.stdout.contains(&expected), "{finished:?}");
}

/// A proxy for a deployment that can only be reached through a forward proxy, as its name has no address.
fn tc(scheme: &str) -> ProxyBuilder {
    Proxy::in_front_of(format!("{scheme}://tc.example.test:81"))
}

fn with_user(forward_proxy: &Upstream) -> String {
    format!("http://user:p%40ss@{}", forward_proxy.address())
}
