//! Headers and bewits are exchanged both ways between core and third-party implementations of Hawk: npm
//! `hawk`, which Taskcluster's auth service runs, and PyPI `mohawk`.

mod cases;
mod whatwg;

use cases::{
    HOUR, NOT_FOR_MOHAWK, NOT_FOR_NPM_HAWKS_CLIENT, NOW, URLS, altered_urls, cases, check,
    our_header, verified,
};
use serde_json::{Value, json};
use support::clients::{Oracle, node, python};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Verified;
use taskcluster_proxy_core::hawk::{AuthorizationHeader, ReceivedRequest, UrlParts, append_bewit};

#[test]
fn npm_hawk_accepts_our_headers() {
    accepts_our_headers(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK, NOT_FOR_NPM_HAWKS_CLIENT]);
}

#[test]
fn npm_hawk_accepts_our_bewits() {
    accepts_our_bewits(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK, NOT_FOR_NPM_HAWKS_CLIENT]);
}

#[test]
fn we_accept_npm_hawks_headers() {
    we_accept_headers_of(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK]);
}

#[test]
fn we_accept_npm_hawks_bewits() {
    we_accept_bewits_of(&mut npm_hawk(), &[URLS, NOT_FOR_MOHAWK]);
}

#[test]
fn mohawk_accepts_our_headers() {
    accepts_our_headers(&mut mohawk(), &[URLS]);
}

#[test]
fn mohawk_accepts_our_bewits() {
    accepts_our_bewits(&mut mohawk(), &[URLS]);
}

#[test]
fn we_accept_mohawks_headers() {
    we_accept_headers_of(&mut mohawk(), &[URLS]);
}

#[test]
fn we_accept_mohawks_bewits() {
    we_accept_bewits_of(&mut mohawk(), &[URLS]);
}

fn npm_hawk() -> Oracle {
    Oracle::start(node("hawk-verify.mjs"))
}

fn mohawk() -> Oracle {
    Oracle::start(python("mohawk_verify.py"))
}

fn accepts_our_headers(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let authorization = our_header(&credentials, &url);
        let altered = |attribute: &str| {
            authorization.replace(&format!(" {attribute}=\""), &format!(" {attribute}=\"1"))
        };
        let altered_ext = match authorization.contains(" ext=\"") {
            true => altered("ext"),
            false => format!("{authorization}, ext=\"1\""),
        };
        let question = json!({
            "check": "header",
            "id": credentials.credentials.client_id.as_str(),
            "key": credentials.credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "PUT",
            "url": url.to_string(),
            "authorization": authorization,
        });
        assert_accepts(oracle, &question);
        for authorization in [altered("mac"), altered("ts"), altered("nonce"), altered_ext] {
            assert_rejects(oracle, &question, "authorization", &authorization);
        }
        assert_rejects(oracle, &question, "method", "POST");
        assert_rejects(oracle, &question, "key", "another");
        for url in altered_urls(url.as_str()) {
            assert_rejects(oracle, &question, "url", &url);
        }
    }
}

fn accepts_our_bewits(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let expires = Timestamp::from_secs(NOW.secs() + HOUR);
        let signed = credentials.signer().bewit(&url, expires).unwrap();
        let mut question = json!({
            "check": "bewit",
            "id": credentials.credentials.client_id.as_str(),
            "key": credentials.credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "GET",
            "url": signed.as_str(),
        });
        assert_accepts(oracle, &question);
        assert_rejects(oracle, &question, "key", "another");
        for url in altered_urls(signed.as_str()) {
            assert_rejects(oracle, &question, "url", &url);
        }
        question["now"] = json!(NOW.secs() + HOUR + 1);
        assert_ne!(oracle.ask(&question)["error"], Value::Null, "an hour and a second later");
    }
}

fn we_accept_headers_of(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let ours = our_header(&credentials, &url);
        let question = json!({
            "sign": "header",
            "id": credentials.credentials.client_id.as_str(),
            "key": credentials.credentials.access_token.expose(),
            "now": NOW.secs(),
            "method": "PUT",
            "url": url.to_string(),
            "nonce": "n0nce",
            "ext": AuthorizationHeader::parse(&ours).unwrap().ext,
        });
        let response = oracle.ask(&question);
        let received = ReceivedRequest {
            method: "PUT",
            url: UrlParts::try_from(&url).unwrap(),
            authorization: response["authorization"].as_str(),
        };
        assert_eq!(check(received), Ok(Some(verified(&credentials))), "{question} {response}");
        let altered = response["authorization"].as_str().unwrap().replace("mac=\"", "mac=\"A");
        assert!(check(ReceivedRequest { authorization: Some(&altered), ..received }).is_err());
        assert_altered_are_rejected(received);
        assert!(check(ReceivedRequest { method: "POST", ..received }).is_err());
    }
}

fn we_accept_bewits_of(oracle: &mut Oracle, urls: &[&[&str]]) {
    for (url, credentials) in cases(urls) {
        let ours = our_header(&credentials, &url);
        let question = json!({
            "sign": "bewit",
            "id": credentials.credentials.client_id.as_str(),
            "key": credentials.credentials.access_token.expose(),
            "now": NOW.secs(),
            "url": url.to_string(),
            "ttl": HOUR,
            "ext": AuthorizationHeader::parse(&ours).unwrap().ext,
        });
        let response = oracle.ask(&question);
        let parts = UrlParts::try_from(&url).unwrap();
        let resource = append_bewit(parts.resource, response["bewit"].as_str().unwrap());
        let url = UrlParts { resource: &resource, ..parts };
        let received = ReceivedRequest { method: "GET", url, authorization: None };
        let expires = Some(Timestamp::from_secs(NOW.secs() + HOUR));
        let expected = Verified { expires, ..verified(&credentials) };
        assert_eq!(check(received), Ok(Some(expected)), "{question} {response}");
        assert_altered_are_rejected(received);
    }
}

fn assert_accepts(oracle: &mut Oracle, question: &Value) {
    assert_eq!(oracle.ask(question), json!({ "id": question["id"] }), "{question}");
}

fn assert_rejects(oracle: &mut Oracle, question: &Value, member: &str, value: &str) {
    let mut altered = question.clone();
    altered[member] = json!(value);
    let response = oracle.ask(&altered);
    // `Unauthorized: Bad mac`, `MacMismatch: ..`
    let bad_mac =
        response["error"].as_str().is_some_and(|error| error.to_lowercase().contains("mac"));
    assert!(bad_mac, "{response} to another {member}: {altered}");
}

fn assert_altered_are_rejected(received: ReceivedRequest<'_>) {
    let resource = format!("/x{}", received.url.resource);
    for url in [
        UrlParts { host: "another.example.com", ..received.url },
        UrlParts { port: 1, ..received.url },
        UrlParts { resource: &resource, ..received.url },
    ] {
        let altered = ReceivedRequest { url, ..received };
        let refused = check(altered).map_err(|error| error.to_string());
        assert_eq!(refused, Err("Unauthorized: Bad mac".to_owned()), "{altered:?}");
    }
}
