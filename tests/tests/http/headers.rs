//! Which header fields of requests and responses are forwarded (docs/compatibility.md, Q6 to Q8).

use serde_json::{Value, json};
use support::hawk::Claim;
use support::http1::Head;
use support::{Proxy, Response, ScriptedResponse, Upstream, certificate, request};

#[test]
fn header_fields_are_forwarded_and_none_is_added() {
    const HEADERS: &str = "Accept: a/b\r\nX-Twice: 1\r\nCookie: a=b\r\nx-twice: 2, 3\r\n\
                           Forwarded: for=x\r\nX-Empty:\r\nX-Twice: 1\r\nTrailer: x-sum\r\n\
                           X-Utf8: \u{e9}\r\nX-Taskcluster-Skip-Cache: true\r\n";
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for (start, framing) in [
        ("GET", ""),
        ("DELETE", ""),
        ("HEAD", ""),
        ("POST", ""),
        ("GET", "Content-Length: 0\r\n"),
        ("POST", "Content-Length: 0\r\n"),
        ("PUT", "Content-Type: x/y\r\nContent-Length: 4\r\n"),
        ("PUT", "Content-Encoding: gzip\r\nContent-Length: 4\r\n"),
    ] {
        let body = if framing.ends_with("4\r\n") { "body" } else { "" };
        let start_line = format!("{start} /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n");
        let sent = format!("{start_line}{HEADERS}{framing}\r\n{body}");
        assert_eq!(proxy.exchange(&sent).status(), 200);
        let request = upstream.last_request();
        let sent = Head::read(&mut sent.as_bytes()).unwrap().unwrap();
        assert_eq!(from_client(&request.head), from_client(&sent), "{start} {framing}");
        assert_eq!(request.body, body.as_bytes());
    }
}

#[test]
fn a_chunked_body_is_forwarded_in_chunks() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send(
        "PUT /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;ext\r\nab\r\n",
    );
    // A complete body would get a Content-Length (length_required.rs).
    upstream.wait_for("the request", |requests| requests.first().map(drop));
    client.send("3\r\ncde\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let request = upstream.wait_for_requests(1).pop().unwrap();
    assert_eq!(request.body, b"abcde");
    assert_eq!(by_name(&request.head).len(), 3, "{:?}", request.head);
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn hop_by_hop_fields_of_requests_are_not_forwarded() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    proxy.exchange(
        "PUT /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nConnection: Authorization, X-Foo,Host\r\n\
         Connection: content-length\r\nX-Foo: 1\r\nKeep-Alive: timeout=5\r\nTE: gzip\r\n\
         Upgrade: websocket\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\
         Authorization: Bearer x\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: evil\r\nX-Kept: 1\r\nContent-Length: 4\r\n\r\nbody",
    );
    let request = upstream.wait_for_requests(1).pop().unwrap();
    let expected = [("content-length", vec!["4"]), ("x-kept", vec!["1"])];
    assert_eq!(
        from_client(&request.head),
        expected.map(|(name, values)| (name.to_owned(), values))
    );
    assert_eq!(request.body, b"body");
    Claim::of(&request).assert_signed_with("no-secret");
}

#[test]
fn hop_by_hop_fields_of_responses_are_not_forwarded() {
    let response = ScriptedResponse::bytes(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, Date\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         X-Kept: 1\r\nContent-Length: 4\r\n\r\nbody",
    );
    let upstream = Upstream::start([response]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
    let expected = [("content-length", vec!["4"]), ("x-kept", vec!["1"])];
    assert_eq!(
        from_upstream(&response.head),
        expected.map(|(name, values)| (name.to_owned(), values))
    );
    assert_eq!(response.text(), "body");
    // The response has a Date, but that of the proxy.
    assert_ne!(response.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[test]
fn responses_are_forwarded_unchanged() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for (status, headers, body) in [
        (200, &[("Set-Cookie", "a=1"), ("X-Other", ""), ("set-cookie", "b=2, c")][..], &b"x"[..]),
        (200, &[("Content-Encoding", "gzip"), ("Content-Type", "application/json")], gzip),
        (206, &[("Content-Range", "bytes 0-0/9"), ("ETag", "\"x\"")], b"x"),
        (299, &[], b""),
        (301, &[("Location", "http://elsewhere.example/?a#b")], b"moved"),
        (303, &[("Location", "/relative//../x")], b""),
        (401, &[("WWW-Authenticate", "Hawk")], b"{}"),
        (404, &[("Content-Type", "x/y"), ("Server", "y")], b"<html>"),
        (429, &[("Retry-After", "1")], b""),
    ] {
        let upstream = Upstream::start([ScriptedResponse::new(status, headers, body)]);
        let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
        assert_eq!((response.status(), response.body.as_slice()), (status, body));
        let length = body.len().to_string();
        let sent = headers.iter().copied().chain([("Content-Length", length.as_str())]);
        assert_eq!(from_upstream(&response.head), sorted(sent));
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[test]
fn a_chunked_response_is_forwarded_in_chunks() {
    let upstream = Upstream::start([ScriptedResponse::chunked(["one", "two"])]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
    assert_eq!((response.text(), response.complete), ("onetwo", true));
    assert_eq!(from_upstream(&response.head), sorted([("Transfer-Encoding", "chunked")]));
}

#[test]
fn interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
                   HTTP/1.1 102 Processing\r\n\r\n";
    let response = ScriptedResponse::bytes(interim).before_body().then_read_body();
    let upstream =
        Upstream::start([response.then("HTTP/1.1 201 \r\nContent-Length: 5\r\n\r\nfinal")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    for _ in 0..2 {
        connection.send(request("PUT", "/api/queue/v1/x", "body"));
        let response = connection.response();
        assert_eq!((response.status(), response.text()), (201, "final"));
    }
    assert_eq!(upstream.wait_for_requests(2)[1].body, b"body");
}

#[test]
fn a_client_can_wait_for_100_continue() {
    let upstream = Upstream::start([ScriptedResponse::ok("done")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut connection = proxy.connect();
    connection.send(
        "PUT /api/queue/v1/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Length: 4\r\n\r\n",
    );
    assert_eq!(connection.response().status(), 100);
    connection.send("body");
    assert_eq!(connection.response().text(), "done");
    assert_eq!(upstream.wait_for_requests(1)[0].body, b"body");
}

#[test]
fn responses_without_a_body_keep_their_framing_fields() {
    for (method, scripted, header) in [
        ("HEAD", "200 \r\nContent-Length: 5", ("Content-Length", "5")),
        ("HEAD", "200 \r\nTransfer-Encoding: chunked\r\nX-Some: 1", ("X-Some", "1")),
        ("GET", "204 \r\nX-Some: 1", ("X-Some", "1")),
        ("GET", "304 \r\nETag: \"x\"", ("ETag", "\"x\"")),
    ] {
        let upstream =
            Upstream::start([ScriptedResponse::bytes(format!("HTTP/1.1 {scripted}\r\n\r\n"))]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut connection = proxy.connect();
        // Twice: after a body the second response would not begin where it is expected.
        for _ in 0..2 {
            connection.send(request(method, "/api/queue/v1/x", ""));
            let response = connection.response_to(method);
            assert!(response.complete && response.body.is_empty());
            assert_eq!(from_upstream(&response.head), sorted([header]), "{method} {scripted}");
        }
    }
}

#[test]
fn clients_of_http_1_0_are_served() {
    let responses = [
        ScriptedResponse::ok("one"),
        ScriptedResponse::chunked(["t", "wo"]),
        ScriptedResponse::ok("three"),
    ];
    let upstream = Upstream::start(responses);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for expected in ["one", "two"] {
        let mut connection = proxy.connect();
        connection.send("GET /api/queue/v1/x HTTP/1.0\r\n\r\n");
        let response = connection.response();
        assert_eq!((response.text(), response.header("transfer-encoding")), (expected, None));
        assert_eq!(connection.read_to_end(), b"");
        assert_eq!(upstream.last_request().head.start_line(), "GET /api/queue/v1/x HTTP/1.1");
    }
    let mut kept = proxy.connect();
    for _ in 0..2 {
        kept.send("GET /api/queue/v1/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(kept.response().text(), "three");
    }
}

#[test]
fn each_response_names_the_client_id() {
    let upstream = Upstream::start([ScriptedResponse::status(204), ScriptedResponse::status(404)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for response in responses_of_every_kind(&proxy) {
        assert_eq!(
            credentials_fields(&response),
            [("x-taskcluster-proxy-perm-clientid", json!("tester"))]
        );
    }
}

#[test]
fn each_response_names_the_scopes_of_temporary_credentials() {
    let upstream = Upstream::start([ScriptedResponse::status(204), ScriptedResponse::status(404)]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["a:*", "b:\"c\""]).to_string())
        .args(["a:b"])
        .start();
    for response in responses_of_every_kind(&proxy) {
        let mut expected = vec![
            ("x-taskcluster-proxy-temp-clientid", json!("tester")),
            ("x-taskcluster-proxy-temp-scopes", json!(["a:*", "b:\"c\""])),
        ];
        let of_an_upstream = response.header("x-taskcluster-endpoint").is_some();
        if of_an_upstream || response.status() < 400 {
            expected.push(("x-taskcluster-authorized-scopes", json!(["a:b"])));
        }
        assert_eq!(credentials_fields(&response), expected);
    }
}

#[test]
fn the_proxys_own_header_fields_stay_under_8_kib() {
    let scopes = (0..1000).map(|number| format!("test:scope-of-some-length:{number}"));
    let scopes: Vec<String> = scopes.collect();
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let admin = ["--admin", "127.0.0.1:0"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(admin).args(&scopes).start();
    let refused = proxy.get("/api/queue/v1/x");
    refused.assert_error(400, "AuthorizationTooLong");
    assert_eq!(refused.header("x-taskcluster-authorized-scopes-count"), None);
    let put = json!({ "clientId": "new", "accessToken": "x" }).to_string();
    let updated = proxy.call("PUT", "/credentials", put);
    let count = updated.header("x-taskcluster-authorized-scopes-count").unwrap();
    assert!(count.starts_with("1000; ") && count.contains("/status"), "{count}");
    assert_eq!(updated.header("x-taskcluster-authorized-scopes"), None);
    let status = proxy.get_admin("/status").json();
    assert_eq!(status["credentials"]["authorizedScopes"], json!(scopes));

    let with_star = ["test:*".to_owned()].into_iter().chain(scopes);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(with_star).start();
    for length in [1, 60_000] {
        let response = proxy.get(&format!("/api/queue/v1/{}", "x".repeat(length)));
        assert_eq!(response.status(), 200);
        assert!(response.head.bytes().len() < 8 * 1024, "{}", response.head.bytes().len());
        assert_eq!(response.header("x-taskcluster-authorized-scopes"), Some(r#"["test:*"]"#));
    }
}

#[test]
fn each_forwarded_response_names_its_endpoint() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let endpoint = format!("{}/api/queue/v1/a%2F//?b", upstream.root_url());
    let response = proxy.get("/queue/v1/a%2F//?b");
    assert_eq!(response.header("x-taskcluster-endpoint"), Some(endpoint.as_str()));
}

/// Forwarded responses, and responses and errors of the proxy itself.
fn responses_of_every_kind(proxy: &Proxy) -> Vec<Response> {
    let put = json!({ "clientId": 1 }).to_string();
    vec![
        proxy.get("/api/queue/v1/x"),
        proxy.get("/api/queue/v1/x"),
        proxy.call("POST", "/bewit", "https://tc.example.com/x"),
        proxy.call("POST", "/bewit", "nonsense"),
        proxy.get("/bewit"),
        proxy.call("PUT", "/credentials", put),
        proxy.get("/nowhere"),
    ]
}

/// The header fields about credentials, with JSON values parsed, in the order of
/// docs/compatibility.md, Q8.
fn credentials_fields(response: &Response) -> Vec<(&'static str, Value)> {
    assert!(response.header("x-taskcluster-proxy-version").is_some(), "{response:?}");
    assert!(response.header("x-taskcluster-proxy-revision").is_some(), "{response:?}");
    [
        "x-taskcluster-proxy-perm-clientid",
        "x-taskcluster-proxy-temp-clientid",
        "x-taskcluster-proxy-temp-scopes",
        "x-taskcluster-authorized-scopes",
    ]
    .into_iter()
    .filter_map(|name| {
        let value = response.header(name)?;
        Some((name, serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
    })
    .collect()
}

/// The header fields of a request that come from the client.
fn from_client(head: &Head) -> Vec<(String, Vec<&str>)> {
    let ours = ["authorization", "host"];
    by_name(head).into_iter().filter(|(name, _)| !ours.contains(&name.as_str())).collect()
}

/// The header fields of a response that come from the upstream. The proxy adds a Date if there is none
/// (`http_semantics.rs`).
fn from_upstream(head: &Head) -> Vec<(String, Vec<&str>)> {
    let ours = |name: &str| name.starts_with("x-taskcluster-") || name == "date";
    by_name(head).into_iter().filter(|(name, _)| !ours(name)).collect()
}

fn by_name(head: &Head) -> Vec<(String, Vec<&str>)> {
    sorted(head.headers())
}

/// The header fields sorted by name, with the values of each name in their original order.
fn sorted<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, Vec<&'a str>)> {
    let mut sorted = std::collections::BTreeMap::<String, Vec<&str>>::new();
    for (name, value) in headers {
        sorted.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    sorted.into_iter().collect()
}
