//! `PUT /credentials`, and the credentials that requests are signed with (docs/compatibility.md,
//! Q10, Q11 and F7).

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::hawk::Claim;
use support::http1::Body;
use support::{
    Connection, DEADLINE, Latch, Proxy, ProxyBuilder, Request, Response, ScriptedResponse, Upstream,
};
use support::{certificate, request};

#[test]
fn new_credentials_are_used_for_later_requests() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["a:b"]).start();
    let certificate = certificate(&["a:*"]);
    let permanent = [("x-taskcluster-proxy-perm-clientid", "c/1")];
    let temporary = [
        ("x-taskcluster-proxy-temp-clientid", "c/1"),
        ("x-taskcluster-proxy-temp-scopes", "[\"a:*\"]"),
    ];
    for (given, expected, headers) in [
        (json!(certificate.to_string()), json!({ "certificate": certificate }), &temporary[..]),
        (Value::Null, json!({}), &permanent),
        (json!(certificate.to_string()), json!({ "certificate": certificate }), &temporary),
        (json!(""), json!({}), &permanent),
    ] {
        let body = json!({
            "clientId": "c/1", "accessToken": "new", "certificate": given, "other": [1],
        });
        let response = proxy.call("PUT", "/credentials", body.to_string());
        assert_eq!((response.status(), response.text()), (200, ""));
        for (name, value) in headers {
            assert_eq!(response.header(name), Some(*value));
            assert_eq!(proxy.get("/api/queue/v1/x").header(name), Some(*value));
        }
        let mut expected = expected;
        expected["authorizedScopes"] = json!(["a:b"]);
        let claim = Claim::of(&upstream.last_request()).assert_signed_with("new");
        assert_eq!((claim.id.as_str(), claim.ext()), ("c/1", expected));
        let signed = proxy.call("POST", "/bewit", "https://tc.example.com/x");
        assert_eq!(Claim::of_url(signed.text()).assert_signed_with("new").id, "c/1");
    }
}

#[test]
fn credentials_without_a_certificate_are_permanent() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:*"]).to_string())
        .start();
    let response = proxy.call("PUT", "/credentials", NEW);
    assert_eq!(response.header("x-taskcluster-proxy-perm-clientid"), Some("new"));
    proxy.get("/api/queue/v1/x");
    assert_eq!(
        Claim::of(&upstream.last_request()).assert_signed_with("new-secret").ext(),
        Value::Null
    );
}

#[test]
fn invalid_credentials_change_nothing_and_are_not_repeated() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let with = |certificate: &str| {
        format!(r#"{{"clientId": "c", "accessToken": "canary", "certificate": {certificate}}}"#)
    };
    for (body, expected) in [
        ("".to_owned(), "expected JSON, found an empty text"),
        ("canary".to_owned(), "found a syntax error"),
        ("{'canary': 1}".to_owned(), "found a syntax error"),
        (format!("{NEW}canary"), "found a syntax error"),
        (format!("{NEW}{NEW}"), "found a syntax error"),
        ("[\"canary\"]".to_owned(), "expected a JSON object, found an array"),
        ("\"canary\"".to_owned(), "expected a JSON object, found a string"),
        ("null".to_owned(), "expected a JSON object, found null"),
        (
            r#"{"clientId": 1, "accessToken": "canary"}"#.to_owned(),
            "`clientId`: expected a clientId, found a number",
        ),
        (
            r#"{"clientId": "c", "accessToken": ["canary"]}"#.to_owned(),
            "`accessToken`: expected a string, found an array",
        ),
        (
            r#"{"clientId": "c", "accessToken": "canary\ud800"}"#.to_owned(),
            "found a string that is not Unicode text",
        ),
        (
            with(&certificate(&["a:b"]).to_string()),
            "`certificate`: expected a string of JSON, or null, found an object",
        ),
        (with("false"), "`certificate`: expected a string of JSON, or null, found a boolean"),
    ] {
        let response = proxy.call("PUT", "/credentials", &body);
        let message = response.assert_error(400, "InputError");
        assert!(message.starts_with("the credentials were not replaced: "), "{message}");
        assert!(message.contains(expected), "{body}: {message}");
        assert!(!format!("{:?}{}", response.head, response.text()).contains("canary"));
    }
    proxy.get("/api/queue/v1/x");
    assert_eq!(Claim::of(&upstream.last_request()).assert_signed_with("no-secret").id, "tester");
}

#[test]
fn more_than_1_mib_is_rejected() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    let body = NEW.to_owned() + &" ".repeat(1024 * 1024 - NEW.len());
    assert_eq!(proxy.call("PUT", "/credentials", &body).status(), 200);
    let response = proxy.call("PUT", "/credentials", body + " ");
    assert!(response.assert_error(413, "InputTooLarge").contains("1048576 bytes"));
}

#[test]
fn other_methods_are_refused() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    for method in ["GET", "POST", "PATCH", "DELETE", "put"] {
        let response = proxy.call(method, "/credentials", NEW);
        let message = response.assert_error(405, "MethodNotAllowed");
        assert_eq!(message, format!("expected PUT /credentials, found {method}"));
        assert_eq!(response.header("allow"), Some("PUT"));
    }
    let response = proxy.call("POST", "/bewit", "https://tc.example.com/");
    assert_eq!(response.header("x-taskcluster-proxy-perm-clientid"), Some("tester"));
}

#[test]
fn an_update_waits_for_requests_in_flight_and_later_requests_wait_for_it() {
    let latch = Latch::new();
    let upstream = Upstream::start(first_waits(&latch));
    let proxy = draining(&upstream, "60").start();
    let mut first = in_flight(&proxy, &upstream);
    let mut put = waiting_update(&proxy);
    let mut later = proxy.connect();
    later.send(request("GET", "/api/queue/v1/x", ""));
    latch.open();
    let response = first.response();
    assert_eq!((response.text(), client_id(&response)), ("first", "tester"));
    assert_eq!((put.response().status(), client_id(&later.response())), (200, "new"));
    let [first, later] = upstream.requests().try_into().unwrap();
    Claim::of(&first).assert_signed_with("no-secret");
    Claim::of(&later).assert_signed_with("new-secret");
}

#[test]
fn updates_that_wait_take_effect_together_and_each_response_names_its_own_client() {
    let latch = Latch::new();
    let upstream = Upstream::start(first_waits(&latch));
    let proxy = draining(&upstream, "60").start();
    let mut first = in_flight(&proxy, &upstream);
    let mut put = waiting_update(&proxy);
    let mut later = proxy.connect();
    later.send(request("GET", "/api/queue/v1/x", ""));
    let newer = [1, 2].map(|number| {
        let mut put = proxy.connect();
        let body = format!(r#"{{"clientId": "newer{number}", "accessToken": "newer-secret"}}"#);
        put.send(request("PUT", "/credentials", &body));
        let start = Instant::now();
        while proxy.log().matches("new credentials wait for 1 request").count() <= number {
            assert!(start.elapsed() < DEADLINE, "{}", proxy.log());
            std::thread::yield_now();
        }
        put
    });
    latch.open();
    assert_eq!(client_id(&first.response()), "tester");
    assert_eq!(client_id(&put.response()), "new");
    assert_eq!(client_id(&later.response()), "newer2");
    for (number, mut put) in (1..).zip(newer) {
        assert_eq!(client_id(&put.response()), format!("newer{number}"));
    }
    Claim::of(&upstream.requests()[1]).assert_signed_with("newer-secret");
}

#[test]
fn a_request_is_in_flight_until_its_response_has_ended() {
    let latch = Latch::new();
    let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
    let response =
        ScriptedResponse::bytes(head).then_chunk("some").then_wait(&latch).then_chunk("more");
    let upstream = Upstream::start([response.then("0\r\n\r\n"), ScriptedResponse::ok("later")]);
    let proxy = draining(&upstream, "60").start();
    let mut first = proxy.connect();
    first.send(request("GET", "/api/queue/v1/x", ""));
    let mut body = Body::of_response(&first.head(), "GET");
    first.body_until(&mut body, "some");
    let mut put = waiting_update(&proxy);
    latch.open();
    first.body_until(&mut body, "more");
    assert_eq!(put.response().status(), 200);
}

#[test]
fn the_wait_is_bounded() {
    let latch = Latch::new();
    let upstream = Upstream::start(first_waits(&latch));
    let proxy = draining(&upstream, "0.3").start();
    let mut first = in_flight(&proxy, &upstream);
    let start = Instant::now();
    let mut put = waiting_update(&proxy);
    // A request that does not wait for the update would be signed with the previous credentials.
    assert_eq!(client_id(&proxy.get("/api/queue/v1/x")), "new");
    assert_eq!(put.response().status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    proxy.wait_for_log("client new; 1 request keeps the previous credentials");
    latch.open();
    let response = first.response();
    assert_eq!((response.text(), client_id(&response)), ("first", "tester"));
    Claim::of(&upstream.requests()[1]).assert_signed_with("new-secret");
}

#[test]
fn the_wait_for_requests_in_flight_can_be_zero() {
    let latch = Latch::new();
    let upstream = Upstream::start(first_waits(&latch));
    let proxy = draining(&upstream, "0").start();
    let mut first = in_flight(&proxy, &upstream);
    assert_eq!(proxy.call("PUT", "/credentials", NEW).status(), 200);
    assert_eq!(client_id(&proxy.get("/api/queue/v1/x")), "new");
    latch.open();
    assert_eq!(client_id(&first.response()), "tester");
}

#[test]
fn a_truncated_update_changes_nothing() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut put = proxy.connect();
    let length = NEW.len() + 1;
    let head = "PUT /credentials HTTP/1.1\r\nHost: x\r\nContent-Length";
    put.send(format!("{head}: {length}\r\n\r\n{NEW}"));
    put.finish_sending();
    put.read_to_end();
    assert_eq!(client_id(&proxy.get("/api/queue/v1/x")), "tester");
}

#[test]
fn an_authorization_header_too_long_for_the_services_is_a_400() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let scopes = (0..200).map(|number| format!("scope-of-some-length:{number}"));
    let proxy = Proxy::in_front_of(upstream.root_url()).args(scopes).start();
    let message = proxy.get("/api/queue/v1/x").assert_error(400, "AuthorizationTooLong");
    let length: usize = message
        .strip_prefix("the Authorization header would be ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{message}"));
    assert!(length > 4096, "{message}");
    for part in ["at most 4096", "fewer scopes", "end in *", "a role"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_client_id_that_is_too_long_to_sign_with_makes_no_response_too_long() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for (length, status) in [(512, 200), (513, 200), (3900, 200), (4096, 500), (1_000_000, 500)] {
        let id = "c".repeat(length);
        let body = json!({ "clientId": id, "accessToken": "new" }).to_string();
        let put = proxy.call("PUT", "/credentials", body);
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!((put.status(), response.status()), (200, status), "{length}");
        let name = "x-taskcluster-proxy-perm-clientid";
        let expected = (length == 512).then_some(id.as_str());
        assert_eq!((put.header(name), response.header(name)), (expected, expected), "{length}");
        if status == 500 {
            let message = response.assert_error(500, "InternalServerError");
            assert!(message.contains("the clientId is longer than the services read"), "{message}");
        }
    }
    assert!(proxy.whole_log().lines().all(|line| line.len() < 2048));
    let look_wrong =
        proxy.log().matches("look wrong: the clientId is longer than the services read").count();
    assert_eq!((look_wrong, upstream.requests().len()), (2, 3));
}

#[test]
fn redundant_scopes_are_left_out_if_that_makes_the_others_fit() {
    let mut scopes = vec!["test:*".to_owned(), "other:exact".to_owned()];
    scopes.extend((0..200).map(|number| format!("test:scope-of-some-length:{number}")));
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(&scopes).start();
    let response = proxy.get("/api/queue/v1/x");
    let shown: Value =
        serde_json::from_str(response.header("x-taskcluster-authorized-scopes").unwrap()).unwrap();
    assert_eq!(shown, json!(["test:*", "other:exact"]), "the scopes that are sent");
    // Panics if the header is longer than services read.
    let claim = Claim::of(&upstream.last_request()).assert_signed_with("no-secret");
    assert_eq!(claim.authorized_scopes(), json!(["test:*", "other:exact"]));
}

#[test]
fn redundant_scopes_are_kept_if_they_fit() {
    let scopes = ["a:b", "a:*", "a:b"];
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    Proxy::in_front_of(upstream.root_url()).args(scopes).start().get("/api/queue/v1/x");
    assert_eq!(Claim::of(&upstream.last_request()).authorized_scopes(), json!(scopes));
}

#[test]
fn a_deployment_accepts_the_signatures() {
    let mut scopes = vec!["test:*".to_owned()];
    scopes.extend((0..200).map(|number| format!("test:scope-of-some-length:{number}")));
    let response = Proxy::sandbox().args(scopes).start().get("/api/auth/v1/test-authenticate-get/");
    let expected = json!({ "clientId": "tester", "scopes": ["test:*", "assume:anonymous"] });
    assert_eq!((response.status(), response.json()), (200, expected));
}

const NEW: &str = r#"{"clientId": "new", "accessToken": "new-secret"}"#;

/// Responds to the first request when the latch is open, and to all others at once.
fn first_waits(latch: &Latch) -> impl FnMut(&Request) -> ScriptedResponse + use<> {
    let latch = latch.clone();
    move |request| match request.index {
        0 => ScriptedResponse::nothing()
            .then_wait(&latch)
            .then("HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nfirst"),
        _ => ScriptedResponse::ok("later"),
    }
}

fn draining(upstream: &Upstream, seconds: &str) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--credentials-drain", seconds])
}

/// Sends a request that the upstream receives, and that has no response yet.
fn in_flight(proxy: &Proxy, upstream: &Upstream) -> Connection {
    let mut connection = proxy.connect();
    connection.send(request("GET", "/api/queue/v1/x", ""));
    upstream.wait_for_requests(1);
    connection
}

/// Sends an update, which waits for the request in flight.
fn waiting_update(proxy: &Proxy) -> Connection {
    let mut put = proxy.connect();
    put.send(request("PUT", "/credentials", NEW));
    proxy.wait_for_log("new credentials wait for 1 request in flight");
    put
}

/// The clientId in the header fields of a response.
fn client_id(response: &Response) -> &str {
    response.header("x-taskcluster-proxy-perm-clientid").expect("each response has it")
}
