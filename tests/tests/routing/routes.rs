//! Request routing (docs/compatibility.md, Q1 to Q5).

use std::net::{IpAddr, Ipv4Addr};
use support::hawk::Claim;
use support::{Proxy, ScriptedResponse, Tls, Upstream, request};

/// Ends of targets. Some are not valid by RFC 3986, but `http::Uri` accepts them.
const ENDS: &[&str] = &[
    "",
    "/",
    "//",
    "a//b/",
    "a%2Fb",
    "a%2fb",
    "a%252Fb",
    "./../a/../..",
    "%2e%2E/%2e",
    "a;b=c;d",
    "a?",
    "a??",
    "a?b=1&b=2&&=;c/../%2f",
    "{}",
    "{\"a\":'b'}?{c}'d'",
    "it's|\"it\"^[~]",
    "a\\b",
    "!$&'()*+,;=:@-._~",
    "%C3%A9",
    "é?ü",
];

#[test]
fn path_and_query_arrive_byte_for_byte_and_as_they_are_signed() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for end in ENDS {
        let target = format!("/api/queue/v1/{end}");
        assert_eq!(proxy.get(&target).status(), 200, "{target}");
        let request = upstream.last_request();
        assert_eq!(request.target(), target);
        let claim = Claim::of(&request).assert_signed_with("no-secret");
        assert_eq!((claim.id.as_str(), claim.ext()), ("tester", serde_json::Value::Null));
    }
}

#[test]
fn each_request_has_a_nonce_and_a_time_of_its_own() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let [one, two] = [(); 2].map(|()| {
        proxy.get("/api/queue/v1/ping");
        Claim::of(&upstream.last_request()).assert_signed_with("no-secret")
    });
    assert_ne!(one.nonce, two.nonce);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now.abs_diff(one.ts) < 60 && one.ts <= two.ts, "{now} {one:?} {two:?}");
}

#[test]
fn a_service_can_be_named_without_api() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for end in ENDS {
        assert_eq!(proxy.get(&format!("/queue/v1/{end}")).status(), 200, "{end}");
        let request = upstream.last_request();
        assert_eq!(request.target(), format!("/api/queue/v1/{end}"));
        Claim::of(&request).assert_signed_with("no-secret");
    }
}

#[test]
fn a_root_url_with_a_path_keeps_it() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(format!("{}/deep/", upstream.root_url())).start();
    for target in ["/api/queue/v1/a%2F?", "/queue/v1/a%2F?"] {
        assert_eq!(proxy.get(target).status(), 200);
        let request = upstream.last_request();
        assert_eq!(request.target(), "/deep/api/queue/v1/a%2F?");
        Claim::of(&request).assert_signed_with("no-secret");
    }
}

#[test]
fn routes_depend_on_the_whole_first_segment() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for service in ["bewitness", "credentials2", "apis"] {
        assert_eq!(proxy.get(&format!("/{service}/v1/x")).status(), 200);
        assert_eq!(upstream.last_request().target(), format!("/api/{service}/v1/x"));
    }
    let count = upstream.requests().len();
    for (target, allow) in [
        ("/bewit", "POST"),
        ("/bewit/", "POST"),
        ("/bewit?x", "POST"),
        ("/bewit/?x", "POST"),
        ("/credentials", "PUT"),
        ("/credentials/?x", "PUT"),
    ] {
        let response = proxy.call("PATCH", target, "");
        assert_eq!((response.status(), response.header("allow")), (405, Some(allow)), "{target}");
    }
    assert_eq!(upstream.requests().len(), count);
}

#[test]
fn unroutable_targets_get_an_error_with_the_reason() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for (target, expected) in [
        ("/", "\"\" is not the name of a service or host"),
        ("/api", "invalid /api path"),
        ("/api/", "invalid /api path"),
        ("/api/queue", "invalid /api path"),
        ("/api/queue/v1", "invalid /api path: expected /api/<service>/<version>/<path>"),
        ("/queue", "a service needs a version and a path"),
        ("/queue/v1", "found \"/queue/v1\""),
        ("/-queue-/v1/x", "\"-queue-\" is not the name"),
        ("/a..example/x", "\"a..example\" is not the name"),
        ("/.example/x", "\".example\" is not the name"),
        ("/h.example:443/x", "\"h.example:443\" is not the name"),
        ("/u@h.example/x", "\"u@h.example\" is not the name"),
        ("/h_x.example/x", "\"h_x.example\" is not the name"),
        ("/%71ueue/v1/x", "\"%71ueue\" is not the name"),
        ("/é.example/x", "\"é.example\" is not the name"),
        ("/../api/queue/v1/x", "\"..\" is not the name"),
    ] {
        let response = proxy.get(target);
        let message = response.assert_error(404, "ResourceNotFound");
        assert!(message.contains(expected), "{target}: {message}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn absolute_form_routes_like_origin_form() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for authority in ["http://taskcluster", "https://u@elsewhere.example:81", "HTTP://[::1]"] {
        assert_eq!(proxy.get(&format!("{authority}/api/queue/v1/a%2F//?")).status(), 200);
        assert_eq!(upstream.last_request().target(), "/api/queue/v1/a%2F//?");
        Claim::of(&upstream.last_request()).assert_signed_with("no-secret");
    }
}

#[test]
fn any_host_field_is_accepted() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for host in ["", "a", "a_b.c-d", "A.B:80", "a:", "127.0.0.1:65535", "[::1]", "[::1]:8080"] {
        let head = format!("GET /api/queue/v1/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = proxy.exchange(head);
        assert_eq!(response.status(), 200, "{host:?}");
        let request = upstream.last_request();
        assert_eq!(request.head.all("host"), [upstream.address().to_string()]);
        Claim::of(&request).assert_signed_with("no-secret");
    }
}

#[test]
fn connect_and_the_asterisk_form_are_rejected() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for (start, status, code) in [
        ("CONNECT tc.example.com:443", 405, "MethodNotAllowed"),
        ("CONNECT /api/queue/v1/x", 405, "MethodNotAllowed"),
        ("OPTIONS *", 404, "ResourceNotFound"),
    ] {
        let response = proxy.exchange(format!("{start} HTTP/1.1\r\nHost: x\r\n\r\n"));
        response.assert_error(status, code);
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn options_and_any_other_method_are_forwarded() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for method in ["OPTIONS", "DELETE", "PATCH", "PROPFIND", "brew-tea"] {
        assert_eq!(proxy.call(method, "/api/queue/v1/x", "").status(), 200, "{method}");
        let request = upstream.last_request();
        assert_eq!(request.method(), method);
        Claim::of(&request).assert_signed_with("no-secret");
    }
}

#[test]
fn a_host_name_is_reached_over_tls() {
    let upstream = Upstream::start([ScriptedResponse::ok("from the host")]);
    let tls = Tls::for_host("files.example.test").behind_proxy().start(&upstream);
    let proxy = tls.proxy().start();
    for end in ENDS {
        let response = proxy.get(&format!("/FILES.example.test/{end}"));
        assert_eq!((response.status(), response.text()), (200, "from the host"), "{end}");
        let request = upstream.last_request();
        assert_eq!(request.target(), format!("/{end}"));
        assert_eq!(request.head.all("host"), ["files.example.test"]);
        Claim::of_tls(&request).assert_signed_with("no-secret");
    }
    for (target, expected) in [("/files.example.test", "/"), ("/files.example.test?a=b", "/?a=b")] {
        let endpoint = format!("https://files.example.test{expected}");
        assert_eq!(proxy.get(target).header("x-taskcluster-endpoint"), Some(endpoint.as_str()));
        assert_eq!(upstream.last_request().target(), expected);
        Claim::of_tls(&upstream.last_request()).assert_signed_with("no-secret");
    }
    let connects = tls.connects();
    for connect in connects {
        assert_eq!(connect.start_line(), "CONNECT files.example.test:443 HTTP/1.1");
    }
}

#[test]
fn a_host_name_may_begin_with_the_name_of_an_endpoint() {
    for host in ["api.example.test", "bewit.example.test", "credentials.example.test"] {
        let upstream = Upstream::start([ScriptedResponse::status(200)]);
        let tls = Tls::for_host(host).behind_proxy().start(&upstream);
        assert_eq!(tls.proxy().start().get(&format!("/{host}/x")).status(), 200);
        assert_eq!(
            (upstream.last_request().target(), upstream.last_request().header("host")),
            ("/x", Some(host))
        );
    }
}

#[test]
fn requests_over_http2_are_forwarded_byte_for_byte() {
    let upstream = Upstream::start([ScriptedResponse::ok("over HTTP/2")]);
    let tls = Tls::for_host("files.example.test").behind_proxy().http2().start(&upstream);
    let proxy = tls.proxy().start();
    let response = proxy.call("PUT", "/files.example.test/a%2F//..;b?c??", "body");
    assert_eq!((response.status(), response.text()), (200, "over HTTP/2"));
    let request = upstream.wait_for_requests(1).pop().unwrap();
    assert_eq!((request.target(), request.body.as_slice()), ("/a%2F//..;b?c??", &b"body"[..]));
    Claim::of_tls(&request).assert_signed_with("no-secret");
}

#[test]
fn a_root_url_may_be_https_and_have_a_port() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let tls = Tls::for_host("localhost").start(&upstream);
    let authority = format!("localhost:{}", tls.address().port());
    let proxy = Proxy::in_front_of(format!("https://{authority}"))
        .env("SSL_CERT_FILE", tls.authority())
        .start();
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
    assert_eq!(upstream.last_request().head.all("host"), [authority.as_str()]);
    Claim::of_tls(&upstream.last_request()).assert_signed_with("no-secret");
}

/// The host has a loopback address, so no forward proxy is used. Needs permission to listen on port 443.
#[test]
fn a_host_is_reached_on_port_443() {
    const HOST: Ipv4Addr = Ipv4Addr::new(127, 82, 91, 1);
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let tls = match Tls::for_host("127.82.91.1").listen(IpAddr::V4(HOST), 443).try_start(&upstream)
    {
        Ok(tls) => tls,
        Err(error) => return support::skip(&format!("cannot listen on {HOST}:443: {error}")),
    };
    let proxy = tls.proxy().args(["--allow-host", "127.82.91.1"]).start();
    assert_eq!(proxy.get("/127.82.91.1/x//y").status(), 200);
    assert_eq!(
        (upstream.last_request().target(), upstream.last_request().header("host")),
        ("/x//y", Some("127.82.91.1"))
    );
    Claim::of_tls(&upstream.last_request()).assert_signed_with("no-secret");
}

#[test]
fn a_connection_serves_several_requests() {
    let upstream = Upstream::start([ScriptedResponse::ok("one"), ScriptedResponse::ok("two")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    for expected in ["one", "two"] {
        connection.send(request("GET", "/api/queue/v1/x", ""));
        assert_eq!(connection.response().text(), expected);
    }
}
