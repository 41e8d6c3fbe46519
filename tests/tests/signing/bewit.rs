//! Signed URLs: `POST /bewit` (docs/compatibility.md, Q9 and F7).

use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use support::hawk::{Claim, LIMIT};
use support::{Proxy, ProxyBuilder, ScriptedResponse, Upstream, certificate};

const URL: &str = "https://tc.example.com/x";

#[test]
fn a_url_is_signed() {
    let proxy = without_deployment().start();
    let before = now();
    for (url, resource) in [
        (URL, "/x?"),
        ("https://tc.example.com", "/?"),
        ("http://other.example:8080/a%2F%2f//../b;c", "/a%2F%2f/b;c?"),
        ("https://tc.example.com/\r\nX: é|{}", "/X:%20%C3%A9|%7B%7D?"),
        ("https:\\\\tc.example.com\\a\\..\\x", "/x?"),
        ("https://tc.example.com/x?z=1&a=2", "/x?z=1&a=2&"),
        ("https://tc.example.com/x?n=a%20b+c&flag&&", "/x?n=a%20b+c&flag&&&"),
        ("https://tc.example.com/x?", "/x?&"),
        (" \t\r\nhttps://tc.example.com/x \n", "/x?"),
        ("https://tc.example.com/x#fragment", "/x?"),
        ("http://127.0.0.1:1/x", "/x?"),
        ("http://[::1]:8080/x", "/x?"),
    ] {
        let response = proxy.call("POST", "/bewit", url);
        assert_eq!(response.status(), 303, "{url}");
        assert_eq!(response.header("location"), Some(response.text()));
        assert!(response.text().contains(&format!("{resource}bewit=")), "{}", response.text());
        let claim = Claim::of_url(response.text()).assert_signed_with("no-secret");
        assert_eq!((claim.id.as_str(), claim.ext()), ("tester", Value::Null));
        assert!((before + 3600..=now() + 3600).contains(&claim.ts), "{claim:?}");
    }
}

#[test]
fn a_signed_url_needs_no_credentials() {
    let proxy = Proxy::sandbox().start();
    let root_url = proxy.sandbox_root_url();
    let authority = root_url.strip_prefix("http://").unwrap();
    let url = format!("{root_url}/api/auth/v1/scopes/current?a=%2F&b");
    let signed = proxy.call("POST", "/bewit", &url);
    let target = signed.text().strip_prefix(root_url).unwrap();
    let response = support::exchange(
        authority.parse().unwrap(),
        format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
    );
    assert_eq!((response.status(), &response.json()["scopes"][0]), (200, &json!("*")));
}

#[test]
fn certificate_and_scopes_are_in_ext() {
    let certificate = certificate(&["a:*"]);
    let proxy =
        without_deployment().env("TASKCLUSTER_CERTIFICATE", certificate.to_string()).args(["a:b"]);
    let response = proxy.start().call("POST", "/bewit", URL);
    let claim = Claim::of_url(response.text()).assert_signed_with("no-secret");
    assert_eq!(claim.ext(), json!({ "certificate": certificate, "authorizedScopes": ["a:b"] }));
}

#[test]
fn the_type_and_framing_of_the_body_do_not_matter() {
    let proxy = without_deployment().start();
    for headers in [
        "Content-Length: 24\r\n\r\n",
        "Content-Type: application/json\r\nContent-Length: 24\r\n\r\n",
        "Content-Type: x-www-form-urlencoded\r\nExpect: \r\nContent-Length: 24\r\n\r\n",
    ] {
        let response = proxy.exchange(format!("POST /bewit HTTP/1.1\r\nHost: x\r\n{headers}{URL}"));
        assert_eq!(response.status(), 303, "{headers}");
    }
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n8\r\nhttps://\r\n10\r\ntc.example.com/x\r\n0\r\n\r\n";
    let response = proxy.exchange(format!("POST /bewit/?x HTTP/1.1\r\nHost: x\r\n{chunked}"));
    assert!(response.text().starts_with("https://tc.example.com/x?bewit="));
}

#[test]
fn an_invalid_url_is_a_400_with_the_reason() {
    let proxy = without_deployment().start();
    for (body, expected) in [
        (&b""[..], "found nothing"),
        (b" \n", "found nothing"),
        (b"/api/queue/v1/x", "found no scheme"),
        (b"tc.example.com/x", "found no scheme"),
        (b"//tc.example.com/x", "found no scheme"),
        (b"ftp://tc.example.com/x", "found ftp://"),
        (b"mailto:a", "found another scheme, or none"),
        (b"javascript:1", "found another scheme, or none"),
        (b"https://?x", "expected a host name"),
        (b"https://tc example.com/x", "expected a host name"),
        (b"https://user:pass@tc.example.com/", "user name or password"),
        (b"https://tc.example.com:99999/", "expected a port"),
        (b"https://tc.example.com/\xff", "UTF-8"),
        (b"{\"url\": \"https://tc.example.com/\"}", "found no scheme"),
    ] {
        let response = proxy.call("POST", "/bewit", body);
        let error = response.assert_error(400, "InputError");
        assert!(error.contains(expected), "{}: {error}", String::from_utf8_lossy(body));
    }
}

#[test]
fn more_than_64_kib_is_a_413() {
    let proxy = without_deployment().start();
    let body = URL.to_owned() + &" ".repeat(64 * 1024 - URL.len());
    assert_eq!(proxy.call("POST", "/bewit", &body).status(), 303);
    let response = proxy.call("POST", "/bewit", body + " ");
    assert!(response.assert_error(413, "InputTooLarge").contains("65536 bytes"));
}

#[test]
fn other_methods_are_a_405() {
    let proxy = without_deployment().start();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "post"] {
        let response = proxy.call(method, "/bewit", URL);
        let message = response.assert_error(405, "MethodNotAllowed");
        assert_eq!(message, format!("expected POST /bewit, found {method}"));
        assert_eq!(response.header("allow"), Some("POST"));
    }
}

#[test]
fn redundant_scopes_are_left_out_if_that_makes_the_others_fit() {
    let mut scopes = vec!["many:*".to_owned()];
    scopes.extend((0..200).map(|number| format!("many:scope-of-some-length:{number}")));
    let response = without_deployment().args(&scopes).start().call("POST", "/bewit", URL);
    assert_eq!(response.status(), 303);
    let resource = response.text().strip_prefix("https://tc.example.com").unwrap();
    assert!(resource.len() <= LIMIT, "{}", resource.len());
    let claim = Claim::of_url(response.text()).assert_signed_with("no-secret");
    assert_eq!(claim.authorized_scopes(), json!(["many:*"]));
}

#[test]
fn a_url_too_long_for_the_services_is_a_400() {
    let scopes = (0..200).map(|number| format!("scope-of-some-length:{number}"));
    let proxy = without_deployment().args(scopes).start();
    let message = proxy.call("POST", "/bewit", URL).assert_error(400, "AuthorizationTooLong");
    let length: usize = message
        .strip_prefix("the path and query of the signed URL would be ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{message}"));
    assert!(length > LIMIT && message.contains("at most 4096") && message.contains("fewer scopes"));
}

/// A response whose Date is `ahead` seconds from now.
fn with_date(ahead: u64, status: u16) -> ScriptedResponse {
    let date = SystemTime::now() + Duration::from_secs(ahead);
    ScriptedResponse::new(status, &[("Date", &httpdate::fmt_http_date(date))], "")
}

/// The proxy requests the services' time once, and the URL expires by their clock.
#[test]
fn a_url_signed_before_any_request_is_valid_for_an_hour() {
    for status in [200, 503] {
        let upstream = Upstream::start([with_date(7200, status)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--retry-budget", "0"]).start();
        for _ in 0..2 {
            let signed = proxy.call("POST", "/bewit", URL);
            let claim = Claim::of_url(signed.text()).assert_signed_with("no-secret");
            assert!(claim.ts.abs_diff(now() + 7200 + 3600) < 60, "{claim:?}");
        }
        let requests = upstream.requests();
        assert_eq!((requests.len(), requests[0].target()), (1, "/api/auth/v1/ping"));
        assert_eq!(requests[0].header("authorization"), None);
        proxy.wait_for_log("this machine's clock is wrong");
    }
}

#[test]
fn the_time_is_taken_from_an_earlier_response() {
    let upstream = Upstream::start([with_date(7200, 404)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 404);
    let signed = proxy.call("POST", "/bewit", URL);
    let claim = Claim::of_url(signed.text()).assert_signed_with("no-secret");
    assert!(claim.ts.abs_diff(now() + 7200 + 3600) < 60, "{claim:?}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_unknown_services_time_causes_a_warning() {
    let silent = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let dateless = Upstream::start([ScriptedResponse::ok("")]);
    for (upstream, why) in [
        (&silent, "/api/auth/v1/ping: no response within 2 s"),
        (&dateless, "/api/auth/v1/ping: its response has no Date"),
    ] {
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let signed = proxy.call("POST", "/bewit", URL);
        let claim = Claim::of_url(signed.text()).assert_signed_with("no-secret");
        assert!(claim.ts.abs_diff(now() + 3600) < 60, "{claim:?}");
        proxy.wait_for_log(why);
    }
}

/// A response that a cache has kept says nothing about the current time.
#[test]
fn the_time_is_not_taken_from_a_cached_response() {
    let upstream = Upstream::start([ScriptedResponse::new(
        200,
        &[("Date", "Thu, 01 Jan 2015 00:00:00 GMT"), ("Age", "1")],
        "",
    )]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let signed = proxy.call("POST", "/bewit", URL);
    let claim = Claim::of_url(signed.text()).assert_signed_with("no-secret");
    assert!(claim.ts.abs_diff(now() + 3600) < 60, "{claim:?}");
    assert!(!proxy.whole_log().contains("clock is wrong"), "{}", proxy.log());
}

/// Fewer scopes would not help here, as there are none.
#[test]
fn the_error_says_if_the_url_itself_is_too_long() {
    let proxy = without_deployment().start();
    let url = format!("{URL}{}", "y".repeat(5000));
    let message = proxy.call("POST", "/bewit", url).assert_error(400, "AuthorizationTooLong");
    assert!(message.contains("at most 4096; the URL itself is too long, by "), "{message}");
    assert!(!message.contains("fewer scopes"), "{message}");
}

/// The scopes are encoded twice in a bewit, so the part of the URL that is due to them is longer than they
/// are in a header.
#[test]
fn the_error_does_not_blame_a_short_url_for_many_scopes() {
    let scopes = (0..1000).map(|number| format!("secrets:get:project/x/{number}"));
    let proxy = without_deployment().args(scopes).start();
    let message =
        proxy.call("POST", "/bewit", "http://a/").assert_error(400, "AuthorizationTooLong");
    assert!(message.contains("use fewer scopes"), "{message}");
    assert!(!message.contains("URL itself"), "{message}");
}

#[test]
fn the_longest_url_that_services_accept_is_signed() {
    let proxy = without_deployment().start();
    let signed = proxy.call("POST", "/bewit", URL);
    let used = signed.text().len() - "https://tc.example.com".len();
    let fitting = format!("{URL}{}", "y".repeat(LIMIT - used));
    assert_eq!(proxy.call("POST", "/bewit", &fitting).status(), 303);
    assert_eq!(proxy.call("POST", "/bewit", fitting + "y").status(), 400);
}

/// A proxy whose deployment does not exist, as signed URLs are not requested.
fn without_deployment() -> ProxyBuilder {
    Proxy::in_front_of("http://127.0.0.1:1")
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
