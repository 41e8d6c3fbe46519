//! The diagnosis: why a service rejected a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;
use std::io::Write as _;
use std::time::{Duration, SystemTime};
use support::{Proxy, Request, Response, ScriptedResponse, Tls, Upstream, certificate};

const HEADER: &str = "x-taskcluster-proxy-diagnosis";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_error_response_is_forwarded_unchanged_with_a_diagnosis() {
    let upstream = Upstream::start([ScriptedResponse::new(401, &[("X-Kept", "1")], "no")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.get("/api/queue/v1/x?bewit=abc");
    let received = (response.status(), response.text(), response.header("x-kept"));
    assert_eq!(received, (401, "no", Some("1")));
    assert!(diagnosis(&response).starts_with("the URL has a bewit"), "{response:?}");
    proxy.wait_for_log("refused the request: the URL has a bewit");
}

#[test]
fn other_responses_have_no_diagnosis_and_cannot_forge_one() {
    for (status, body) in [(200, ""), (401, ""), (403, "{}"), (404, "")] {
        let forged = [("X-Taskcluster-Proxy-Diagnosis", "forged")];
        let upstream = Upstream::start([ScriptedResponse::new(status, &forged, body)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        assert_eq!(proxy.get("/api/queue/v1/x").header(HEADER), None, "{status}");
    }
}

/// A response of the secrets service to a client that accepts the coding br.
const BROTLI: &str = "G+ABABwHdjPXwmCzcInPlcietc1Un4uDl5MtXV5ZN8kHEcawWLQsdVj6LDzViAeI/vLp3rSwWB8TtOYdxm4zei\
                      Qdf0CQLxX8aVoI0A4EcGie2/6l5FYerODHtmqt9fkjIucONRjcj2LGbK3FZI/l0vdu9etpTB7X9AjM6ZRft0T\
                      rPId4vIzRLuHWuPthdhgbJ7INAcNlxY4IMCV0wFAAxWzJwJqL52WwbSbbQDWqnbmVhZRIMytCQYjBESJBDToC\
                      wTIJN8HP1DQdV84vXiinC+keMxS82pl3spCKEuu+4gE=";

#[test]
fn missing_scopes_are_named_whatever_the_content_coding() {
    let body = insufficient_scopes("");
    // Large, as an error response repeats the payload of the request.
    let large = insufficient_scopes(&"x".repeat(900 * 1024));
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&large).unwrap();
    let brotli = STANDARD.decode(BROTLI).unwrap();
    let chunked = ScriptedResponse::bytes("HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\n")
        .then_chunk(&body[..9])
        .then_chunk(&body[9..])
        .then("0\r\n\r\n");
    let with = |coding: &str, body: &[u8]| {
        ScriptedResponse::new(403, &[("Content-Encoding", coding)], body)
    };
    for (name, response, sent) in [
        ("plain", ScriptedResponse::new(403, &[], &body), &body),
        ("chunked", chunked, &body),
        ("large", ScriptedResponse::new(403, &[], &large), &large),
        ("gzip", with("gzip", &gzip(&body)), &gzip(&body)),
        ("large gzip", with("gzip", &gzip(&large)), &gzip(&large)),
        ("deflate", with("deflate", &zlib.finish().unwrap()), &Vec::new()),
        ("br", with("br", &brotli), &brotli),
    ] {
        let upstream = Upstream::start([response]);
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", certificate(&["queue:*"]).to_string())
            .args(["secrets:get:a"])
            .start();
        let mut client = proxy.connect();
        for _ in 0..2 {
            client.send("GET /api/queue/v1/x HTTP/1.1\r\nHost: x\r\n\r\n");
            let response = client.response();
            assert_eq!(response.status(), 403);
            assert!(sent.is_empty() || response.body == *sent, "{name}");
            assert_eq!(
                diagnosis(&response),
                "the request needs \"secrets:get:b\", which the scopes that requests are restricted to \
                 (those of the command line) do not grant; the certificate does not grant it either",
                "{name}"
            );
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn responses_that_cannot_be_decoded_are_forwarded_without_a_diagnosis() {
    let body = insufficient_scopes("");
    let too_large = insufficient_scopes(&"x".repeat(1024 * 1024));
    for (coding, sent) in [
        ("gzip", body.clone()),
        ("zstd", body.clone()),
        ("gzip", gzip(&body)[..60].to_vec()),
        ("gzip", gzip(&too_large)),
        ("identity", too_large),
    ] {
        let response = ScriptedResponse::new(403, &[("Content-Encoding", coding)], &sent);
        let upstream = Upstream::start([response]);
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["queue:*"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!((response.status(), response.header(HEADER)), (403, None), "{coding}");
        assert!(response.body == sent, "{coding}");
    }
}

#[test]
fn the_diagnosis_is_shortened_in_the_header_field_and_complete_in_the_log() {
    let scopes: Vec<String> = (0..300).map(|number| format!("some:scope:{number}")).collect();
    let payload = json!({ "clientScopes": ["some:other"], "requiredScopes": scopes });
    let proxy = Proxy::sandbox().start();
    let request = format!(
        "POST /api/auth/v1/test-authenticate HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate, \
         br\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{payload}",
        payload.to_string().len()
    );
    let response = proxy.exchange(request);
    assert_eq!((response.status(), response.header("content-encoding")), (403, Some("gzip")));
    let text = diagnosis(&response);
    assert!(text.starts_with("the request needs all of [\"some:scope:0\", "), "{text}");
    assert!(text.contains("\"some:scope:19\", and 280 more]") && text.len() < 1024, "{text}");
    let log = proxy.wait_for_log("refused the request: ");
    let last = r#"\"some:scope:299\"], which client \"tester\" does not have"#;
    assert!(log.contains(last), "{log}");
}

#[test]
fn errors_of_a_deployment_are_explained() {
    let proxy = Proxy::sandbox().args(["queue:*"]).start();
    let response = proxy.get("/api/secrets/v1/secret/a");
    assert_eq!(response.status(), 403);
    assert_eq!(
        diagnosis(&response),
        "the request needs \"secrets:get:a\", which the scopes that requests are restricted to (those of \
         the command line) do not grant; only the services know whether client \"tester\" has it"
    );
    let proxy = Proxy::sandbox().args(["--task-id", "KTBKfEgxR5GdfIIREQIvFQ"]).start();
    let response = proxy.get("/api/secrets/v1/secrets");
    assert!(
        diagnosis(&response).contains("(those of task KTBKfEgxR5GdfIIREQIvFQ (--task-id))"),
        "{response:?}"
    );
    let sandbox = Proxy::sandbox().start();
    let before = |client_id: &str, access_token: &str, scopes: &[&str]| {
        let proxy = Proxy::in_front_of(sandbox.sandbox_root_url())
            .env("TASKCLUSTER_CLIENT_ID", client_id)
            .env("TASKCLUSTER_ACCESS_TOKEN", access_token)
            .args(scopes)
            .start();
        let response = proxy.get("/api/auth/v1/test-authenticate-get/");
        assert_eq!(response.status(), 401);
        diagnosis(&response).to_owned()
    };
    for (found, expected) in [
        (before("tester", "wrong", &[]), "the signature does not match (Bad mac): "),
        (before("other", "wrong", &[]), "the deployment has no client \"other\": if these are "),
        (
            before("tester", "no-secret", &["test:*", "secrets:get:a"]),
            "requests are restricted to scopes (those of the command line) that the credentials do not \
             have: \"secrets:get:a\"; services refuse every request that needs a scope until ",
        ),
    ] {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn errors_over_http2_are_explained() {
    let body = insufficient_scopes("");
    let upstream = Upstream::start([ScriptedResponse::new(403, &[], &body)]);
    let tls = Tls::for_host("tc.example.test").behind_proxy().http2().start(&upstream);
    let proxy = tls.proxy().args(["queue:*"]).start();
    let response = proxy.get("/api/queue/v1/x");
    assert_eq!((response.status(), &response.body), (403, &body));
    assert!(
        diagnosis(&response).starts_with("the request needs \"secrets:get:b\", "),
        "{response:?}"
    );
}

#[test]
fn responses_of_other_hosts_are_not_diagnosed() {
    let upstream =
        Upstream::start([ScriptedResponse::new(401, &[("Date", date(HOUR).as_str())], "")]);
    let tls = Tls::for_host("files.example.test").behind_proxy().start(&upstream);
    let proxy = tls.proxy().start();
    assert_eq!(proxy.get("/files.example.test/x?bewit=a").header(HEADER), None);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_expired_certificate_is_explained() {
    let day = 24 * HOUR;
    let upstream = Upstream::start(move |_: &Request| {
        ScriptedResponse::new(401, &[("Date", date(400 * day).as_str())], "no")
    });
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate(&["*"]).to_string())
        .start();
    let message = diagnosis(&proxy.get("/api/queue/v1/x")).to_owned();
    assert!(message.starts_with("the certificate expired "), "{message}");
}

#[test]
fn defects_of_the_credentials_are_named_first() {
    for status in [401, 403] {
        let upstream = Upstream::start([ScriptedResponse::new(status, &[], "no")]);
        let proxy = Proxy::in_front_of(upstream.root_url())
            .env("TASKCLUSTER_CERTIFICATE", r#"{"version":1,"scopes":null,"seed":"canary"}"#)
            .start();
        let response = proxy.get("/api/queue/v1/x?bewit=abc");
        let expected = "the certificate is not as the services expect it (`scopes`: expected an \
                        array of scopes, found null; `start`: ";
        assert!(diagnosis(&response).starts_with(expected), "{response:?}");
        assert!(!diagnosis(&response).contains("canary"), "{response:?}");
        proxy.wait_for_log("refused the request: the certificate is not as the services expect it");
    }
}

/// The error of a service for a request without the scope secrets:get:b.
fn insufficient_scopes(payload: &str) -> Vec<u8> {
    let message = "Client ID tester does not have sufficient scopes and is missing the following \
                   scopes:\n\n```\nsecrets:get:b\n```\n\nThis request requires the client to satisfy \
                   the following scope expression:\n\n```\nsecrets:get:b\n```\n\n---\n\n* method:     get";
    let info = json!({ "method": "get", "params": {}, "payload": payload });
    let error = json!({ "code": "InsufficientScopes", "message": message, "requestInfo": info });
    error.to_string().into_bytes()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn diagnosis(response: &Response) -> &str {
    response.header(HEADER).unwrap_or_default()
}

/// The time in `later` from now, in the format of a Date field.
pub(crate) fn date(later: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + later)
}
