//! Tests of the secrets service.

use super::*;

#[tokio::test]
async fn a_secret_is_kept_until_it_is_removed() {
    let test = SandboxTest::start().await;
    let greeting = test.get("/api/secrets/v1/secret/project/sandbox/greeting").await.ok();
    assert!(greeting["secret"]["greeting"].is_string());

    let payload = json!({"secret": {"password": "xyzzy"}, "expires": hours(1)});
    let path = "/api/secrets/v1/secret/a%2Fb";
    assert_eq!(test.call("PUT", path, payload.clone()).await.ok(), json!({}));
    assert_eq!(test.get("/api/secrets/v1/secret/a/b").await.ok(), payload);
    let listed = test.get("/api/secrets/v1/secrets").await.ok();
    assert_eq!(listed, json!({"secrets": ["a/b", "project/sandbox/greeting"]}));
    assert_eq!(test.call_raw("DELETE", path, "").await.ok(), json!({}));
    test.get(path).await.refused(404, "ResourceNotFound", "no such secret");
}

#[tokio::test]
async fn an_expired_secret_is_gone() {
    let test = SandboxTest::start().await;
    let path = "/api/secrets/v1/secret/a";
    let payload = json!({"secret": {}, "expires": "2020-01-01T00:00:00.000Z"});
    test.call("PUT", path, payload).await.ok();
    test.get(path).await.refused(404, "ResourceNotFound", "has expired");
    let listed = test.get("/api/secrets/v1/secrets").await.ok();
    assert_eq!(listed["secrets"], json!(["project/sandbox/greeting"]));
}

#[tokio::test]
async fn an_error_repeats_no_secret() {
    let test = SandboxTest::start().await;
    let path = "/api/secrets/v1/secret/a";
    for payload in [
        json!({"secret": "xyzzy", "expires": hours(1)}),
        json!({"sceret": {"password": "xyzzy"}, "expires": hours(1)}),
        json!({"secret": {"password": "xyzzy"}, "expires": "xyzzy"}),
    ] {
        let response = test.call("PUT", path, payload).await;
        let error = response.refused(400, "InputError", "expected");
        assert_eq!(error["requestInfo"]["payload"], json!({"secret": "(OMITTED)"}));
        assert_eq!(error["requestInfo"]["params"], json!({"name": "a"}));
        assert!(!response.text().contains("xyzzy"), "{}", response.text());
    }
}

#[tokio::test]
async fn a_secret_requires_its_scope() {
    let test = SandboxTest::start().await.restricted_to(&["secrets:get:a/*", "secrets:set:b"]);
    let path = "/api/secrets/v1/secret/b";
    test.get(path).await.refused(403, "InsufficientScopes", "```\nsecrets:get:b");
    let response = test.get("/api/secrets/v1/secrets").await;
    response.refused(403, "InsufficientScopes", "```\nsecrets:list-secrets");
    let payload = json!({"secret": {}, "expires": hours(1)});
    test.call("PUT", path, payload.clone()).await.ok();
    let response = test.call("PUT", "/api/secrets/v1/secret/a/b", payload).await;
    response.refused(403, "InsufficientScopes", "```\nsecrets:set:a/b");
    let response = test.call_raw("DELETE", "/api/secrets/v1/secret/a/b", "").await;
    response.refused(403, "InsufficientScopes", "```\nsecrets:set:a/b");
}
