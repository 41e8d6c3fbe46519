//! `PUT /credentials` as launchers send it: with other types and framings, several at once, one after
//! the other, and by a client that disconnects.

use serde_json::{Value, json};
use support::hawk::Claim;
use support::{Latch, Proxy, Request, Response, ScriptedResponse, Upstream, certificate, request};

pub(crate) const ALL: [(&str, fn()); 10] = [
    ("a PUT of application/json", application_json),
    ("a PUT of text/plain", text_plain),
    ("a PUT without a Content-Type", no_content_type),
    ("a PUT in chunks", chunks),
    ("a PUT with Expect: 100-continue", expect_continue),
    ("20 PUTs at once", twenty_at_once),
    ("a PUT while a request is in flight, whose client disconnects", client_disconnects),
    ("temporary and permanent credentials in turn", alternating_certificates),
    ("an update with identical credentials", identical_credentials),
    ("each update that looks wrong has its warning", a_warning_for_each_update),
];

fn application_json() {
    framed(&format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{NEW}",
        NEW.len()
    ));
}

fn text_plain() {
    framed(&format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{NEW}", NEW.len()));
}

fn no_content_type() {
    framed(&format!("Content-Length: {}\r\n\r\n{NEW}", NEW.len()));
}

fn chunks() {
    let (one, two) = NEW.split_at(20);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let body = [chunk(one), chunk(two), chunk("")].concat();
    framed(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
}

fn framed(rest: &str) {
    let (proxy, upstream) = start();
    let response = proxy.exchange(format!("PUT /credentials/?x HTTP/1.1\r\nHost: x\r\n{rest}"));
    assert_eq!((response.status(), response.text()), (200, ""));
    assert_signs(&proxy, &upstream, "new", "canary-new");
}

fn expect_continue() {
    let (proxy, upstream) = start();
    let mut put = proxy.connect();
    let length = NEW.len();
    put.send(format!(
        "PUT /credentials HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(put.response().status(), 100);
    put.send(NEW);
    assert_eq!(put.response().status(), 200);
    assert_signs(&proxy, &upstream, "new", "canary-new");
}

/// Each one is accepted, and requests are signed with the last one that became current.
fn twenty_at_once() {
    let (proxy, upstream) = start();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(put(&format!("c/{number}"), &format!("canary-{number}"), ""));
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    let response = proxy.get("/api/queue/v1/x");
    let number = client_id(&response).strip_prefix("c/").expect("one of them").to_owned();
    let claim = Claim::of(&upstream.last_request());
    claim.assert_signed_with(&format!("canary-{number}"));
}

/// The update becomes current all the same, as soon as the request in flight has ended.
fn client_disconnects() {
    let latch = Latch::new();
    let shared = latch.clone();
    let upstream = Upstream::start(move |request: &Request| match request.index {
        0 => ScriptedResponse::nothing()
            .then_wait(&shared)
            .then("HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nfirst"),
        _ => ScriptedResponse::ok("later"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--credentials-drain", "60"]).start();
    let mut first = proxy.connect();
    first.send(request("GET", "/api/queue/v1/x", ""));
    upstream.wait_for_requests(1);
    let mut update = proxy.connect();
    update.send(put("c/1", "canary-1", r#"{"scopes":null}"#));
    proxy.wait_for_log("new credentials wait for 1 request in flight");
    update.reset();
    assert!(!proxy.log().contains("look wrong"), "the credentials are not current yet");
    latch.open();
    assert_eq!(client_id(&first.response()), "tester");
    let response = proxy.get("/api/queue/v1/x");
    assert_eq!(response.header("x-taskcluster-proxy-temp-scopes"), Some("[]"));
    let claim = Claim::of(&upstream.last_request()).assert_signed_with("canary-1");
    assert_eq!(claim.ext(), json!({ "certificate": { "scopes": null } }));
    proxy.wait_for_log("client \\\"c/1\\\" look wrong: the certificate");
}

fn alternating_certificates() {
    let (proxy, upstream) = start();
    let temporary = certificate(&["a:*"]);
    for certificate in [temporary.to_string(), String::new(), temporary.to_string(), String::new()]
    {
        let response = proxy.exchange(put("c/1", "canary-1", &certificate));
        assert_eq!(response.status(), 200);
        let claim = assert_signs(&proxy, &upstream, "c/1", "canary-1");
        let expected = match certificate.is_empty() {
            true => Value::Null,
            false => json!({ "certificate": temporary }),
        };
        assert_eq!(claim.ext(), expected);
    }
    assert!(!proxy.whole_log().contains("WARN"), "{}", proxy.log());
}

fn identical_credentials() {
    let (proxy, upstream) = start();
    for _ in 0..3 {
        assert_eq!(proxy.call("PUT", "/credentials", TESTER).status(), 200);
        assert_signs(&proxy, &upstream, "tester", "no-secret");
    }
    assert!(!proxy.whole_log().contains("WARN"), "{}", proxy.log());
}

fn a_warning_for_each_update() {
    let (proxy, _upstream) = start();
    let bodies = ["{}", "{}", TESTER, r#"{"clientId":"a\nb"}"#];
    for body in bodies {
        assert_eq!(proxy.call("PUT", "/credentials", body).status(), 200);
    }
    let log = proxy.whole_log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" level=WARN ")).collect();
    assert_eq!(warnings.len(), 3, "{log}");
    // A line feed in the clientId is escaped.
    assert!(warnings[2].contains(r#"the credentials of client \"a\\nb\" look wrong: "#), "{log}");
}

const NEW: &str = r#"{"clientId":"new","accessToken":"canary-new","certificate":""}"#;
const TESTER: &str = r#"{"clientId":"tester","accessToken":"no-secret","certificate":""}"#;

fn start() -> (Proxy, Upstream) {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    (Proxy::in_front_of(upstream.root_url()).start(), upstream)
}

fn put(client_id: &str, token: &str, certificate: &str) -> Vec<u8> {
    let body = json!({ "clientId": client_id, "accessToken": token, "certificate": certificate });
    request("PUT", "/credentials", body.to_string())
}

/// Fails unless the next request is signed with these credentials, or if a secret is in the log.
fn assert_signs(proxy: &Proxy, upstream: &Upstream, client_id: &str, token: &str) -> Claim {
    assert_eq!(proxy.get("/api/queue/v1/x").status(), 200);
    let claim = Claim::of(&upstream.last_request()).assert_signed_with(token);
    assert_eq!(claim.id, client_id);
    assert!(!proxy.log().contains("canary"), "{}", proxy.log());
    claim
}

fn client_id(response: &Response) -> &str {
    response.header("x-taskcluster-proxy-perm-clientid").expect("they are permanent")
}
