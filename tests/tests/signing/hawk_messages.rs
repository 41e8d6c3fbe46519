//! Errors of core's verification have the same messages as those of npm `hawk`, which Taskcluster's auth
//! service uses.
//!
//! Each case has only one defect, as npm hawk reports the last one and core the first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::clients::{Oracle, node};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{AccessToken, Client, Credentials, Signer, authenticate};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts, parse_url};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

#[test]
fn errors_of_headers_have_the_same_messages() {
    let mut npm_hawk = Oracle::start(node("hawk-verify.mjs"));
    let long = format!("Hawk id=\"{}\"", "x".repeat(4096));
    let signed = |ts| {
        let url = UrlParts { host: "tc.example.com", port: 443, resource: "/x" };
        tester().authorization_text("GET", &url, Timestamp::from_secs(ts), "nonce").unwrap()
    };
    for authorization in [
        "",
        " ",
        "Hawk",
        "Hawk ",
        "hawk\t ",
        "Ha-wk id=\"1\"",
        " Hawk id=\"1\"",
        "Basic",
        "Basic dGVzdGVyOm5vLXNlY3JldA==",
        "Bearer x",
        "Hawk abc",
        "Hawk id",
        "Hawk id=tester",
        "Hawk id=\"1",
        "Hawk id=\"1\" ts=\"1\"",
        "Hawk id=\"1\"; ts=\"1\"",
        "Hawk id=\"1\",, ts=\"1\"",
        "Hawk , id=\"1\"",
        "Hawk id=\"a\\b\"",
        "Hawk id=\"a\"b\"",
        "Hawk who=\"1\"",
        "Hawk Id=\"1\"",
        "Hawk id=\"\"",
        "Hawk id=\"é\"",
        "Hawk id=\"\t\"",
        "Hawk id=\"1\", id=\"1\"",
        "Hawk ts=\"1\", nonce=\"n\", mac=\"m\"",
        "Hawk id=\"1\", nonce=\"n\", mac=\"m\"",
        "Hawk id=\"1\", ts=\"1\", mac=\"m\"",
        "Hawk id=\"1\", ts=\"1\", nonce=\"n\"",
        "Hawk id=\"stranger\", ts=\"1767225600\", nonce=\"n\", mac=\"m\"",
        "Hawk id=\"tester\", ts=\"1767225600\", nonce=\"n\", mac=\"m\"",
        "Hawk id=\"tester\", ts=\"1767225600\", nonce=\"n\", mac=\"m\" , ",
        &long,
        &signed(NOW.secs() - 15 * 60),
        &signed(NOW.secs() - 15 * 60 - 1),
        &signed(NOW.secs() + 15 * 60),
        &signed(NOW.secs() + 15 * 60 + 1),
    ] {
        let question = json!({
            "check": "header",
            "id": "tester",
            "key": "no-secret",
            "now": NOW.secs(),
            "method": "GET",
            "url": "https://tc.example.com/x",
            "authorization": authorization,
        });
        let ours = ours("GET", "/x", Some(authorization));
        assert_eq!(ours, theirs(&mut npm_hawk, &question), "{question}");
    }
}

#[test]
fn errors_of_bewits_have_the_same_messages() {
    let mut npm_hawk = Oracle::start(node("hawk-verify.mjs"));
    let encoded = |parts: &str| format!("/x?bewit={}", URL_SAFE_NO_PAD.encode(parts));
    let wrong = encoded("tester\\1767229200\\x\\");
    let signed = |expires| {
        let url = parse_url("https://tc.example.com/x").unwrap();
        let signed = tester().bewit(&url, Timestamp::from_secs(expires)).unwrap();
        UrlParts::try_from(&signed).unwrap().resource.to_owned()
    };
    for (method, resource) in [
        ("GET", "/x?bewit="),
        ("GET", "/x?bewit=&a=1"),
        ("GET", "/x?bewit=***"),
        ("GET", "/x?bewit=dGVzdGVy="),
        ("GET", "/x?bewit=dGVz+GVy"),
        ("GET", "/x?bewit=dGVz%47Vy"),
        ("GET", &encoded("tester")),
        ("GET", &encoded("tester\\1\\x")),
        ("GET", &encoded("tester\\1\\x\\\\")),
        ("GET", &encoded("\\1\\x\\")),
        ("GET", &encoded("tester\\\\x\\")),
        ("GET", &encoded("tester\\1\\\\")),
        ("GET", &encoded("stranger\\1\\x\\")),
        ("GET", &wrong),
        ("GET", &format!("/x?a&bewit=first&{}&b", &wrong[3..])),
        ("GET", &format!("/{}{wrong}", "x".repeat(4096))),
        ("POST", &wrong),
        ("get", &wrong),
        ("GET", &signed(NOW.secs())),
        ("GET", &signed(NOW.secs() + 1)),
        ("HEAD", &signed(NOW.secs() + 1)),
        ("POST", &signed(NOW.secs() + 1)),
    ] {
        let question = json!({
            "check": "bewit",
            "id": "tester",
            "key": "no-secret",
            "now": NOW.secs(),
            "method": method,
            "url": format!("https://tc.example.com{resource}"),
        });
        assert_eq!(ours(method, resource, None), theirs(&mut npm_hawk, &question), "{question}");
    }
}

fn theirs(npm_hawk: &mut Oracle, question: &Value) -> String {
    let response = npm_hawk.ask(question);
    response["error"].as_str().unwrap_or("accepted").to_owned()
}

fn ours(method: &str, resource: &str, authorization: Option<&str>) -> String {
    let url = UrlParts { host: "tc.example.com", port: 443, resource };
    let received = ReceivedRequest { method, url, authorization };
    let response = authenticate(received, NOW, |client_id| {
        (client_id == "tester").then(|| Client {
            access_token: AccessToken::new("no-secret").unwrap(),
            scopes: Vec::new(),
            expires: None,
        })
    });
    match response {
        Ok(Some(_)) => "accepted".to_owned(),
        Ok(None) => "no claim".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn tester() -> Signer {
    Signer::new(&Credentials::permanent("tester", "no-secret").unwrap()).unwrap()
}
