//! Tests of the secrets service.

use super::*;

#[tokio::test]
async fn a_secret_is_kept_until_it_is_removed() {
    let story = Story::begin().await;
    let greeting = story.get("/api/secrets/v1/secret/project/sandbox/greeting").await.ok();
    assert!(greeting["secret"]["greeting"].is_string());

    let payload = json!({"secret": {"password": "xyzzy"}, "expires": hours(1)});
    let path = "/api/secrets/v1/secret/a%2Fb";
    assert_eq!(story.call("PUT", path, payload.clone()).await.ok(), json!({}));
    assert_eq!(story.get("/api/secrets/v1/secret/a/b").await.ok(), payload);
    let listed = story.get("/api/secrets/v1/secrets").await.ok();
    assert_eq!(listed, json!({"secrets": ["a/b", "project/sandbox/greeting"]}));
    assert_eq!(story.call_raw("DELETE", path, "").await.ok(), json!({}));
    story.get(path).await.refused(404, "ResourceNotFound", "no such secret");
}

#[tokio::test]
async fn an_expired_secret_is_gone() {
    let story = Story::begin().await;
    let path = "/api/secrets/v1/secret/a";
    let payload = json!({"secret": {}, "expires": "2020-01-01T00:00:00.000Z"});
    story.call("PUT", path, payload).await.ok();
    story.get(path).await.refused(404, "ResourceNotFound", "has expired");
    let listed = story.get("/api/secrets/v1/secrets").await.ok();
    assert_eq!(listed["secrets"], json!(["project/sandbox/greeting"]));
}

#[tokio::test]
async fn an_error_repeats_no_secret() {
    let story = Story::begin().await;
    let path = "/api/secrets/v1/secret/a";
    for payload in [
        json!({"secret": "xyzzy", "expires": hours(1)}),
        json!({"sceret": {"password": "xyzzy"}, "expires": hours(1)}),
        json!({"secret": {"password": "xyzzy"}, "expires": "xyzzy"}),
    ] {
        let answer = story.call("PUT", path, payload).await;
        let error = answer.refused(400, "InputError", "expected");
        assert_eq!(error["requestInfo"]["payload"], json!({"secret": "(OMITTED)"}));
        assert_eq!(error["requestInfo"]["params"], json!({"name": "a"}));
        assert!(!answer.text().contains("xyzzy"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_secret_needs_its_scope() {
    let story = Story::begin().await.restricted_to(&["secrets:get:a/*", "secrets:set:b"]);
    let path = "/api/secrets/v1/secret/b";
    story.get(path).await.refused(403, "InsufficientScopes", "```\nsecrets:get:b");
    let answer = story.get("/api/secrets/v1/secrets").await;
    answer.refused(403, "InsufficientScopes", "```\nsecrets:list-secrets");
    let payload = json!({"secret": {}, "expires": hours(1)});
    story.call("PUT", path, payload.clone()).await.ok();
    let answer = story.call("PUT", "/api/secrets/v1/secret/a/b", payload).await;
    answer.refused(403, "InsufficientScopes", "```\nsecrets:set:a/b");
    let answer = story.call_raw("DELETE", "/api/secrets/v1/secret/a/b", "").await;
    answer.refused(403, "InsufficientScopes", "```\nsecrets:set:a/b");
}
