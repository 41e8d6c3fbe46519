//! Targets that `http::Uri` accepts are forwarded byte for byte over both versions of HTTP; others get
//! a 400 before any connection is made.

use crate::http2::{HOST, error};
use support::hawk::Claim;
use support::{Http2Response, Http2Upstream, Proxy, Request, Response, ScriptedResponse, Upstream};

/// The printable ASCII characters that `http::Uri` does not accept in a path.
const NOT_IN_PATH: &str = "<>`";
/// The printable ASCII characters that `http::Uri` does not accept in a query.
const NOT_IN_QUERY: &str = "\"<>";

#[test]
fn each_character_of_a_uri_is_forwarded_unchanged_and_signed() {
    let plain = Upstream::start([ScriptedResponse::ok("up")]);
    let over_http1 = Proxy::in_front_of(plain.root_url()).start();
    let upstream = http2();
    let over_http2 = upstream.proxy().start();
    let printable = || ('!'..='~').filter(|character| !"#?".contains(*character));
    let in_path = printable().filter(|it| !NOT_IN_PATH.contains(*it)).map(|it| format!("/a{it}b"));
    let in_query =
        printable().filter(|it| !NOT_IN_QUERY.contains(*it)).map(|it| format!("/a?b{it}c"));
    let others = ["/é?ü", "//a//", "/./../a", "/?", "/??", "/?a=1&&=;b"].map(str::to_owned);
    for target in in_path.chain(in_query).chain(others) {
        assert_eq!(over_http1.get(&format!("/queue/v1{target}")).text(), "up", "{target}");
        let request = plain.last_request();
        assert_eq!(request.target(), format!("/api/queue/v1{target}"));
        Claim::of(&request).assert_signed_with("no-secret");

        assert_eq!(over_http2.get(&format!("/{HOST}{target}")).text(), "up", "{target}");
        let request = upstream.requests().pop().unwrap();
        assert_eq!(request.target(), target);
        Claim::of_tls(&request).assert_signed_with("no-secret");
    }
}

#[test]
fn an_invalid_character_is_a_400_before_any_connection_is_made() {
    let plain = Upstream::start([ScriptedResponse::ok("up")]);
    let over_http1 = Proxy::in_front_of(plain.root_url()).start();
    let upstream = http2();
    let over_http2 = upstream.proxy().start();
    let in_path = NOT_IN_PATH.chars().map(|it| (it, format!("/a{it}b")));
    let in_query = NOT_IN_QUERY.chars().map(|it| (it, format!("/a?b{it}c")));
    for (character, target) in in_path.chain(in_query) {
        assert_is_400(&over_http1.get(&format!("/queue/v1{target}")), character);
        assert_is_400(&over_http2.get(&format!("/queue/v1{target}")), character);
        assert_is_400(&over_http2.get(&format!("/{HOST}{target}")), character);
    }
    assert_eq!((plain.connections(), upstream.connections()), (0, 0));
}

/// Fails unless the response is a 400 that names the character; one of hyper itself has no body.
fn assert_is_400(response: &Response, character: char) {
    assert_eq!(response.status(), 400, "{character}: {response:?}");
    if !response.body.is_empty() {
        let message = error(response, &[400]);
        assert!(message.contains(character), "{message}");
    }
}

fn http2() -> Http2Upstream {
    Http2Upstream::for_host(HOST).start(|_: &Request| Http2Response::ok("up"))
}
