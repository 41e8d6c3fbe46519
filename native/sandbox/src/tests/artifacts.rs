//! Tests of artifacts: creating, listing and downloading them.

use super::claims::claimed;
use super::*;

const SAMPLE: &str =
    "/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/SampleArtifacts%2F_%2FX.txt";
const ARTIFACTS: &str = "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ/runs/0/artifacts";

#[tokio::test]
async fn the_sample_artifact_is_sent_directly() {
    let test = SandboxTest::start().await;
    for path in [SAMPLE.to_owned(), SAMPLE.replace("%2F", "/"), SAMPLE.replace("/runs/0", "")] {
        let response = test.get(&path).await;
        assert_eq!((response.status, response.text()), (200, "test artifact\n"), "{path}");
        assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(response.header("content-length"), "14");
        assert_eq!(response.header("accept-ranges"), "bytes");
        assert!(response.header("last-modified").ends_with(" GMT"));
        assert!(response.header("etag").starts_with('"'));
    }
    let listed = test.get(SAMPLE.trim_end_matches("/SampleArtifacts%2F_%2FX.txt")).await.ok();
    assert_eq!(listed["artifacts"][0]["name"], "SampleArtifacts/_/X.txt");
    assert_eq!(listed["artifacts"][0]["storageType"], "s3");
}

#[tokio::test]
async fn the_url_of_the_content_can_be_requested() {
    let test = SandboxTest::start().await;
    for path in [SAMPLE.to_owned(), SAMPLE.replace("/runs/0", "")] {
        let location = test.get(&path.replace("/artifacts/", "/artifact-content/")).await.ok();
        assert_eq!(location["storageType"], "s3");
        let root_url = test.sandbox.root_url().to_string();
        let path = location["url"].as_str().unwrap().strip_prefix(&root_url).unwrap();
        assert_eq!(test.get(path).await.text(), "test artifact\n");
    }
    let response = test.unsigned().get(&SAMPLE.replace("/artifacts/", "/artifact-content/")).await;
    response.refused(403, "InsufficientScopes", "```\nqueue:get-artifact:SampleArtifacts/_/X.txt");
}

#[tokio::test]
async fn a_private_artifact_requires_its_scope() {
    let test = SandboxTest::start().await.restricted_to(&["queue:get-artifact:public/*"]);
    let scope = "```\nqueue:get-artifact:SampleArtifacts/_/X.txt";
    test.get(SAMPLE).await.refused(403, "InsufficientScopes", scope);
    let test = test.restricted_to(&["queue:get-artifact:SampleArtifacts/*"]);
    assert_eq!(test.get(SAMPLE).await.status, 200);
    test.unsigned().get(SAMPLE).await.refused(403, "InsufficientScopes", scope);
}

#[tokio::test]
async fn content_supports_range_and_conditional_requests() {
    let test = SandboxTest::start().await;
    let head = test.request("HEAD", SAMPLE).body(Full::default()).unwrap();
    let head = test.send(head).await;
    assert_eq!((head.header("content-length"), head.text()), ("14", ""));
    for (name, value, status, text, range) in [
        ("range", "bytes=5-12", 206, "artifact", Some("bytes 5-12/14")),
        ("range", "bytes=14-", 416, "", Some("bytes */14")),
        ("range", "bytes=0-1,3-4", 200, "test artifact\n", None),
        ("if-none-match", head.header("etag"), 304, "", None),
        ("if-none-match", "\"x\", W/\"y\"", 200, "test artifact\n", None),
    ] {
        let request = test.request("GET", SAMPLE).header(name, value);
        let response = test.send(request.body(Full::default()).unwrap()).await;
        assert_eq!((response.status, response.text()), (status, text), "{name}: {value}");
        let found = response.headers.get("content-range").map(|range| range.to_str().unwrap());
        assert_eq!(found, range, "{name}: {value}");
    }
}

#[tokio::test]
async fn uploaded_content_can_be_downloaded() {
    let (test, claim) = claimed().await;
    let task = Credentials::from_json(claim["credentials"].to_string().as_bytes()).unwrap();
    let test = test.signed_with(&task);
    let path = format!("{ARTIFACTS}/public/logs/live.log");
    let order = json!({"storageType": "s3", "expires": hours(2), "contentType": "text/x-log"});
    let created = test.call("POST", &path, order.clone()).await.ok();
    assert_eq!(
        (&created["storageType"], &created["contentType"]),
        (&json!("s3"), &json!("text/x-log"))
    );
    assert!(created["expires"].is_string());
    let local = |url: &Value| {
        let root_url = test.sandbox.root_url().to_string();
        url.as_str().unwrap().strip_prefix(&root_url).unwrap().to_owned()
    };
    let again = test.call("POST", &path, order).await.ok();
    assert_ne!(again["putUrl"], created["putUrl"]);
    let put_url = local(&created["putUrl"]);

    let story_url = |response: &HandlerResult| {
        assert_eq!(response.status, 303);
        assert_eq!(response.header("x-taskcluster-artifact-storage-type"), "s3");
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["storageType"], "s3");
        assert_eq!(body["url"], response.header("location"));
        local(&body["url"])
    };
    let url = story_url(&test.get(&path).await);
    test.get(&url).await.refused(404, "ResourceNotFound", "or not yet");
    let unsigned = |method: &str, path: &str, body: &'static str| {
        let request = axum::http::Request::builder().method(method).uri(path).header("host", "any");
        test.send(request.body(Full::from(body)).unwrap())
    };
    unsigned("PUT", &put_url, "a log").await.ok();
    let response = unsigned("GET", &url, "").await;
    assert_eq!((response.status, response.text()), (200, "a log"));
    assert_eq!(response.header("content-type"), "text/x-log");
    // The URL for downloads does not allow uploads, and vice versa.
    let wrong = unsigned("PUT", &url.replace("objects", "uploads"), "x").await;
    wrong.refused(404, "ResourceNotFound", "allows no upload");
    assert!(!wrong.text().contains(url.rsplit('/').next().unwrap()));
    assert_eq!(story_url(&unsigned("GET", &path, "").await), url);
}

#[tokio::test]
async fn a_reference_redirects() {
    let (test, _) = claimed().await;
    let path = format!("{ARTIFACTS}/a");
    let order = json!({
        "storageType": "reference", "expires": hours(2), "contentType": "text/plain",
        "url": "https://example.com/x?y=z",
    });
    assert_eq!(test.call("POST", &path, order).await.ok(), json!({"storageType": "reference"}));
    let response = test.get(&path).await;
    assert_eq!((response.status, response.header("location")), (303, "https://example.com/x?y=z"));
}

#[tokio::test]
async fn artifacts_require_a_running_run_and_expire_with_the_task() {
    let (test, _) = claimed().await;
    let path = format!("{ARTIFACTS}/a");
    let order = json!({"storageType": "s3", "expires": hours(2), "contentType": "text/plain"});
    for (member, value, reason) in [
        ("storageType", json!("blob"), "`storageType`: expected s3, reference or redirect"),
        ("storageType", json!("reference"), "`url`: expected a string, found nothing"),
        ("expires", json!(hours(24 * 400)), "no later than that of the task"),
        ("contentType", json!("a\nb"), "`contentType`: expected a media type"),
    ] {
        let mut order = order.clone();
        order[member] = value;
        test.call("POST", &path, order).await.refused(400, "InputError", reason);
    }
    test.call("POST", &path, order.clone()).await.ok();
    let mut other = order.clone();
    other["contentType"] = json!("text/html");
    test.call("POST", &path, other).await.refused(409, "RequestConflict", "exists already");
    test.call("POST", SAMPLE, order.clone()).await.refused(409, "RequestConflict", "running");
    test.get(&format!("{ARTIFACTS}/b")).await.refused(404, "ResourceNotFound", "no artifact b");
    let test = test.restricted_to(&["queue:get-artifact:*"]);
    let response = test.call("POST", &path, order).await;
    response.refused(
        403,
        "InsufficientScopes",
        "```\nqueue:create-artifact:fN1SbArXTPSVFNUvaOlinQ/0",
    );
}
