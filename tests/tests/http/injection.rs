//! No value from a client or an upstream adds a header field to requests or responses, or a log line.

use support::{Connection, Proxy, Response, ScriptedResponse, Upstream, certificate, request};

/// Values that would add a header field if a control character in them were read as a line ending.
const INJECTED: [&str; 6] = [
    "a\r\nX-Injected: 1",
    "a\nX-Injected: 1",
    "a\rX-Injected: 1",
    "a\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: 1",
    "a\0X-Injected: 1",
    "a\u{2028}\u{85}X-Injected: 1",
];

/// Such credentials become current, but a header field cannot contain the clientId, so that nothing is
/// forwarded.
#[test]
fn a_client_id_of_an_update_adds_no_header_field() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for client_id in INJECTED {
        let credentials = serde_json::json!({ "clientId": client_id, "accessToken": "t" });
        let updated = proxy.call("PUT", "/credentials", credentials.to_string());
        assert_clean(&updated);
        assert_eq!(updated.status(), 200);
        let response = proxy.get("/api/queue/v1/x");
        assert_clean(&response);
        response.assert_error(500, "InternalServerError");
    }
    assert!(upstream.requests().is_empty());
    assert_no_line_is_injected(&proxy.whole_log());
}

#[test]
fn scopes_of_an_update_add_no_header_field() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for scope in INJECTED {
        let certificate = certificate(&[scope]).to_string();
        let credentials = serde_json::json!({
            "clientId": "c",
            "accessToken": "t",
            "certificate": certificate,
        });
        let updated = proxy.call("PUT", "/credentials", credentials.to_string());
        assert_clean(&updated);
        assert_eq!(updated.status(), 200);
        let response = proxy.get("/api/queue/v1/x");
        assert_clean(&response);
        assert_eq!(response.header("x-taskcluster-proxy-temp-scopes"), Some("[]"));
    }
    assert!(upstream.requests().iter().all(|forwarded| forwarded.header("x-injected").is_none()));
    assert_no_line_is_injected(&proxy.whole_log());
}

#[test]
fn client_ids_and_scopes_of_the_command_line_add_no_header_field() {
    for bad in INJECTED.into_iter().filter(|text| !text.contains('\0')) {
        let restricted = Proxy::in_front_of("http://127.0.0.1:1").args([bad]).run();
        assert!(!restricted.status.success(), "{bad:?}");
        assert_eq!(restricted.stderr.lines().count(), 1, "{:?}", restricted.stderr);
        let named = Proxy::builder()
            .env("TASKCLUSTER_ROOT_URL", "http://127.0.0.1:1")
            .env("TASKCLUSTER_ACCESS_TOKEN", "t")
            .args(["--client-id", bad])
            .start();
        assert_clean(&named.get("/api/queue/v1/x"));
        assert_no_line_is_injected(&named.whole_log());
    }
}

#[test]
fn targets_add_no_header_field() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for text in INJECTED {
        for target in [format!("/api/queue/v1/{text}"), format!("/api/queue/v1/x?{text}")] {
            let mut connection = proxy.connect();
            connection
                .send(format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
            assert_one_clean_4xx(&mut connection);
        }
    }
    // Escaped characters are part of an ordinary path, and stay escaped.
    let escaped = "/api/queue/v1/%0d%0aX-Injected:%201%00";
    let response = proxy.get(escaped);
    assert_clean(&response);
    let endpoint = format!("{}{escaped}", upstream.root_url());
    assert_eq!(response.header("x-taskcluster-endpoint"), Some(endpoint.as_str()));
    assert_eq!(upstream.last_request().target(), escaped);
}

#[test]
fn urls_to_sign_add_no_header_field() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    for text in INJECTED {
        let url = format!("https://tc.example.com/{text}");
        let mut connection = proxy.connect();
        connection.send(request("POST", "/bewit", &url));
        let response = connection.response();
        assert_clean(&response);
        match response.header("location") {
            None => drop(response.assert_error(400, "InputError")),
            Some(location) => assert!(location.is_ascii() && !location.contains(' '), "{location}"),
        }
        // Nothing follows on the connection.
        connection.finish_sending();
        assert_eq!(connection.read_to_end(), b"");
    }
}

#[test]
fn methods_and_paths_are_escaped_in_error_bodies() {
    let proxy = Proxy::in_front_of("http://127.0.0.1:1").start();
    for (method, target) in [("G'T|", "/bewit"), ("GET", "/\"}{\"script"), ("PUT", "/é\u{85}/x")] {
        let response = proxy.call(method, target, "");
        assert_clean(&response);
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(response.status() >= 400 && response.json()["message"].is_string());
    }
    // Malformed requests, of which the error repeats nothing.
    for (method, target) in [("G\"T", "/bewit"), ("GET", "/<script>\u{7f}")] {
        let response = proxy.call(method, target, "");
        assert_clean(&response);
        assert_eq!(response.status(), 400);
        let body = String::from_utf8_lossy(&response.body);
        assert!(!body.contains("G\"T") && !body.contains("<script>"), "{body}");
    }
}

/// An upstream can set its own header fields, but not those of the proxy.
#[test]
fn an_upstream_cannot_set_header_fields_of_the_proxy() {
    let forged = [
        ("X-Taskcluster-Endpoint", "https://evil.example"),
        ("X-Taskcluster-Proxy-Version", "0"),
        ("X-Taskcluster-Proxy-Revision", "0"),
        ("X-Taskcluster-Proxy-Perm-ClientId", "root"),
        ("x-taskcluster-proxy-temp-clientid", "root"),
        ("X-Taskcluster-Proxy-Temp-Scopes", "[\"*\"]"),
        ("X-TASKCLUSTER-AUTHORIZED-SCOPES", "[\"*\"]"),
        ("Connection", "X-Taskcluster-Endpoint, Content-Length, X-Hop"),
        ("X-Hop", "1"),
    ];
    let upstream = Upstream::start([ScriptedResponse::new(200, &forged, "up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["only:this"]).start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(request("GET", "/api/queue/v1/x", ""));
        let response = client.response();
        assert_eq!((response.text(), response.complete), ("up", true));
        let endpoint = format!("{}/api/queue/v1/x", upstream.root_url());
        for (name, values) in [
            ("x-taskcluster-endpoint", vec![endpoint.as_str()]),
            ("x-taskcluster-proxy-perm-clientid", vec!["tester"]),
            ("x-taskcluster-proxy-temp-clientid", vec![]),
            ("x-taskcluster-proxy-temp-scopes", vec![]),
            ("x-taskcluster-authorized-scopes", vec!["[\"only:this\"]"]),
            ("content-length", vec!["2"]),
            ("x-hop", vec![]),
        ] {
            assert_eq!(response.head.all(name), values, "{name}");
        }
        let version = response.head.all("x-taskcluster-proxy-version");
        assert_eq!(version, [env!("CARGO_PKG_VERSION")]);
        assert_ne!(response.head.all("x-taskcluster-proxy-revision"), ["0"]);
    }
}

/// Whatever a client sends, the forwarded request has only the signature of the proxy.
#[test]
fn a_clients_own_authorization() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for connection in ["Authorization", "close, authorization", "AUTHORIZATION,X", "keep-alive"] {
        let fields = format!(
            "Authorization: Hawk id=\"root\"\r\nConnection: {connection}\r\nauthorization: Bearer x\r\n"
        );
        let head = "GET /api/queue/v1/x HTTP/1.1\r\nHost: elsewhere\r\n";
        assert_eq!(proxy.exchange(format!("{head}{fields}\r\n")).status(), 200);
        let forwarded = upstream.last_request();
        let [authorization] = forwarded.head.all("authorization")[..] else {
            panic!("not one signature: {forwarded:?}");
        };
        assert!(authorization.starts_with("Hawk id=\"tester\", "), "{authorization}");
        assert_eq!(forwarded.head.all("host"), [upstream.address().to_string()]);
    }
}

#[test]
fn no_value_adds_a_log_line() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--log-level", "trace"]).start();
    let escape = "\u{1b}[2J\u{9b}2J";
    for target in
        [format!("/{escape}/x"), format!("/api/queue/v1/{escape}"), "/é\u{85}INFO".to_owned()]
    {
        let _ = proxy.connect().try_send(request("GET", &target, ""));
        proxy.call("GET", &target.replace('\u{1b}', ""), "");
    }
    assert_eq!(proxy.get("/api/queue/v1/last").status(), 200);
    proxy.wait_for_log("/api/queue/v1/last");
    let log = proxy.log();
    assert!(!log.contains(['\u{1b}', '\u{9b}']), "{log:?}");
}

/// Fails unless each line begins with the time, so that no value begins a line.
fn assert_no_line_is_injected(log: &str) {
    assert!(log.lines().all(|line| line.starts_with("timestamp=2")), "{log:?}");
    assert!(!log.contains(['\r', '\0', '\u{85}']), "{log:?}");
}

fn assert_clean(response: &Response) {
    assert_eq!(response.header("x-injected"), None, "{response:?}");
    assert!(response.complete);
}

/// Fails unless the only response on the connection is a 4xx without an injected header field.
fn assert_one_clean_4xx(connection: &mut Connection) {
    let received = String::from_utf8_lossy(&connection.read_to_end()).into_owned();
    let header_section = received.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    assert!(
        !header_section.contains("\nx-injected") && !header_section.contains("\rx-injected"),
        "{received:?}"
    );
    assert_eq!(received.matches("HTTP/1.1 4").count(), 1, "{received:?}");
}
