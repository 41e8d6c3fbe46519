//! Tests of the auth service: signatures, certificates, scopes.

use super::*;
use crate::payload::parse_rfc3339;
use taskcluster_proxy_core::credentials::{ClientId, TemporaryCredentials};
use taskcluster_proxy_core::hawk::UrlParts;

const GET: &str = "/api/auth/v1/test-authenticate-get/";
const POST: &str = "/api/auth/v1/test-authenticate";
const HAWK: &str = "/api/auth/v1/authenticate-hawk";

#[tokio::test]
async fn the_test_endpoints_know_the_tester() {
    let test = SandboxTest::start().await;
    let expected = json!({
        "clientId": "tester",
        "scopes": ["test:*", "auth:create-client:test:*", "assume:anonymous"],
    });
    assert_eq!(test.get(GET).await.ok(), expected);
    assert_eq!(test.get(GET.trim_end_matches('/')).await.ok(), expected);
    let payload = json!({"clientScopes": ["a:*"], "requiredScopes": ["a:b"]});
    assert_eq!(test.call("POST", POST, payload).await.ok()["scopes"][0], "a:*");
}

#[tokio::test]
async fn missing_scopes_are_named() {
    let test = SandboxTest::start().await;
    let payload = json!({"clientScopes": ["a:b"], "requiredScopes": ["a:b", "a:c"]});
    let error = test.call("POST", POST, payload).await;
    let error = error.refused(403, "InsufficientScopes", "Client ID tester does not have");
    let expected = "Client ID tester does not have sufficient scopes and is missing the following \
                    scopes:\n\n```\na:c\n```\n\nThis request requires the client to satisfy the \
                    following scope expression:\n\n```\n{\n  \"AllOf\": [\n    \"a:b\",\n    \
                    \"a:c\"\n  ]\n}\n```\n\n---\n\n* method:     testAuthenticate\n* errorCode:  \
                    InsufficientScopes\n* statusCode: 403\n* time:       ";
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(error["requestInfo"]["method"], "testAuthenticate");
    assert_eq!(error["requestInfo"]["payload"]["requiredScopes"], json!(["a:b", "a:c"]));
    let test = test.restricted_to(&["test:other"]);
    test.get(GET).await.refused(403, "InsufficientScopes", "```\ntest:authenticate-get");
    let test = test.unsigned();
    test.get(GET).await.refused(
        403,
        "InsufficientScopes",
        "Client ID auth-failed:no-auth does not",
    );
}

#[tokio::test]
async fn missing_members_are_rejected() {
    let test = SandboxTest::start().await;
    for (payload, reason) in [
        (json!({"clientScopes": []}), "`requiredScopes`: expected an array of scopes"),
        (json!({"clientScopes": "a", "requiredScopes": []}), "found a string"),
        (json!({"clientScopes": ["é"], "requiredScopes": []}), "found an array"),
    ] {
        test.call("POST", POST, payload).await.refused(400, "InputError", reason);
    }
}

#[tokio::test]
async fn invalid_signatures_are_refused() {
    let wrong = Credentials::permanent("tester", "another").unwrap();
    let test = SandboxTest::start().await.signed_with(&wrong);
    for path in [GET, "/api/auth/v1/scopes/current", "/api/secrets/v1/secrets"] {
        let response = test.get(path).await;
        response.refused(401, "AuthenticationFailed", "Unauthorized: Bad mac");
        assert_eq!(response.header("www-authenticate"), "hawk");
    }
    let unknown = Credentials::permanent("somebody", "no-secret").unwrap();
    let test = test.signed_with(&unknown);
    test.get(GET).await.refused(
        401,
        "AuthenticationFailed",
        "Client with clientId 'somebody' not found",
    );
    let test = test.restricted_to(&["other"]);
    let expected = "Supplied credentials do not satisfy authorizedScopes; credentials have \
                    scopes:\n\n```\ntest:*\nauth:create-client:test:*\nassume:anonymous\n```\n\n\
                    authorizedScopes are:\n\n```\nother\n```\n\n---\n";
    test.get(GET).await.refused(401, "AuthenticationFailed", expected);
}

#[tokio::test]
async fn the_signature_covers_the_request_as_sent() {
    let test = SandboxTest::start().await;
    let path = "/api/queue/v1/task/x/artifacts/a//b%2f%2F./..?x=%41&&y=a'b";
    test.get(path).await.refused(404, "ResourceNotFound", "there is no task x");
    let mut request = test.request("GET", path).body(Full::default()).unwrap();
    *request.uri_mut() = path.replace("%2f", "%2F").parse().unwrap();
    test.send(request).await.refused(401, "AuthenticationFailed", "Bad mac");
    let mut request = test.request("GET", GET).body(Full::default()).unwrap();
    request.headers_mut().insert("host", "localhost:1".parse().unwrap());
    test.send(request).await.refused(401, "AuthenticationFailed", "Bad mac");
    let mut request = test.request("GET", GET).body(Full::default()).unwrap();
    request.headers_mut().insert("host", "a:b".parse().unwrap());
    test.send(request).await.refused(401, "AuthenticationFailed", "Invalid Host header");
}

#[tokio::test]
async fn bewits_are_valid_until_they_expire() {
    let test = SandboxTest::start().await;
    let path = test.bewit(&format!("{GET}?a=%20&b"), now().plus(Duration::from_secs(60)));
    let expired = test.bewit(GET, now().minus(Duration::from_secs(1)));
    let both = test.get(&path).await;
    both.refused(401, "AuthenticationFailed", "two authentication schemes");
    let test = test.unsigned();
    assert_eq!(test.get(&path).await.ok()["clientId"], "tester");
    let head = test.request("HEAD", &path).body(Full::default()).unwrap();
    assert_eq!(test.send(head).await.status, 200);
    test.get(&expired).await.refused(401, "AuthenticationFailed", "Access expired");
    let altered = path.replace("a=%20", "a=+");
    test.get(&altered).await.refused(401, "AuthenticationFailed", "Bad mac");
}

#[tokio::test]
async fn temporary_credentials_are_verified() {
    let test = SandboxTest::start().await;
    let order = TemporaryCredentials {
        name: Some(ClientId::new("test:x").unwrap()),
        scopes: vec![Scope::new("test:authenticate-get").unwrap()],
        start: now(),
        expiry: now().plus(Duration::from_secs(600)),
        seed: "s".repeat(44),
    };
    let temporary = order.clone().issue(&test.sandbox.credentials()).unwrap();
    let test = test.signed_with(&temporary);
    assert_eq!(test.get(GET).await.ok()["clientId"], "test:x");
    let other = TemporaryCredentials { name: Some(ClientId::new("x").unwrap()), ..order };
    let test = {
        let credentials = other.issue(&test.sandbox.credentials()).unwrap();
        test.signed_with(&credentials)
    };
    test.get(GET).await.refused(401, "AuthenticationFailed", "auth:create-client:x");
}

#[tokio::test]
async fn current_scopes_are_those_of_the_caller() {
    let test = SandboxTest::start().await.restricted_to(&["a", "b"]);
    let path = "/api/auth/v1/scopes/current";
    assert_eq!(test.get(path).await.ok(), json!({"scopes": ["a", "b", "assume:anonymous"]}));
    let test = test.unsigned();
    assert_eq!(test.get(path).await.ok(), json!({"scopes": ["assume:anonymous"]}));
}

#[tokio::test]
async fn authenticate_hawk_verifies_headers() {
    let test = SandboxTest::start().await.restricted_to(&["a"]);
    let url = UrlParts { host: "tc.example.com", port: 443, resource: "/x?y=z" };
    let authorization = test.signer.as_ref().unwrap();
    let authorization = authorization.authorization_text("POST", &url, now(), "n").unwrap();
    let request = json!({
        "method": "post", "resource": "/x?y=z", "host": "tc.example.com", "port": 443,
        "authorization": authorization,
    });
    let test = test.unsigned();
    let response = test.call("POST", HAWK, request.clone()).await.ok();
    assert_eq!(
        (&response["status"], &response["scheme"]),
        (&json!("auth-success"), &json!("hawk"))
    );
    assert_eq!(response["clientId"], "tester");
    assert_eq!(response["scopes"], json!(["a", "assume:anonymous"]));
    assert!(parse_rfc3339(response["expires"].as_str().unwrap()).unwrap() > now());

    let mut altered = request.clone();
    altered["port"] = json!(80);
    let response = test.call("POST", HAWK, altered).await.ok();
    assert_eq!(response, json!({"status": "auth-failed", "message": "Unauthorized: Bad mac"}));

    let mut bare = request.clone();
    bare.as_object_mut().unwrap().remove("authorization");
    let response = test.call("POST", HAWK, bare).await.ok();
    assert_eq!((&response["status"], &response["scheme"]), (&json!("no-auth"), &json!("none")));
    assert_eq!(response["scopes"], json!(["assume:anonymous"]));

    let mut broken = request;
    broken["port"] = json!(65536);
    let response = test.call("POST", HAWK, broken).await;
    response.refused(400, "InputError", "`port`: expected a whole number in range");
    assert!(!response.text().contains("Hawk id"), "{}", response.text());
}

#[tokio::test]
async fn authenticate_hawk_verifies_bewits() {
    let test = SandboxTest::start().await;
    let resource = test.bewit("/x", now().plus(Duration::from_secs(60)));
    let root_url = test.sandbox.root_url();
    let port: u16 = root_url.authority().rsplit(':').next().unwrap().parse().unwrap();
    let request = json!({"method": "get", "resource": resource, "host": "127.0.0.1", "port": port});
    let response = test.call("POST", HAWK, request).await.ok();
    assert_eq!(response["clientId"], "tester", "{response}");
}
