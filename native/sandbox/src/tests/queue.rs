//! Tests of the queue: creating and reading tasks.

use super::*;

#[tokio::test]
async fn the_sample_task_is_open_to_all() {
    let test = SandboxTest::start().await.unsigned();
    let path = "/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ";
    let scopes = json!(["queue:get-artifact:SampleArtifacts/*", "secrets:get:project/sandbox/*"]);
    assert_eq!(test.get(path).await.ok()["scopes"], scopes);
    let status = &test.get(&format!("{path}/status")).await.ok()["status"];
    assert_eq!((&status["state"], &status["runs"][0]["runId"]), (&json!("completed"), &json!(0)));
    for path in [
        "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ",
        "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ/status",
    ] {
        let error = test.get(path).await;
        let error = error.refused(404, "ResourceNotFound", "there is no task fN1Sb");
        assert_eq!(error["requestInfo"]["params"], json!({"taskId": TASK_ID}));
    }
}

#[tokio::test]
async fn a_task_is_created_once() {
    let test = SandboxTest::start().await;
    let path = format!("/api/queue/v1/task/{TASK_ID}");
    let definition = definition();
    let status = test.call("PUT", &path, definition.clone()).await.ok();
    assert_eq!(status["status"]["taskId"], TASK_ID);
    assert_eq!(status["status"]["taskQueueId"], "proj/ci");
    assert_eq!(status["status"]["taskGroupId"], TASK_ID);
    assert_eq!(status["status"]["runs"][0]["state"], "pending");
    assert_eq!(test.call("PUT", &path, definition.clone()).await.ok(), status);
    assert_eq!(test.get(&format!("{path}/status")).await.ok(), status);
    let given = test.get(&path).await.ok();
    assert_eq!((&given["priority"], &given["retries"]), (&json!("lowest"), &json!(5)));

    let mut other = definition;
    other["payload"] = json!({"command": []});
    let response = test.call("PUT", &path, other).await;
    response.refused(409, "RequestConflict", "with another definition");
}

#[tokio::test]
async fn incomplete_definitions_are_rejected() {
    let test = SandboxTest::start().await;
    let path = format!("/api/queue/v1/task/{TASK_ID}");
    for (member, value, reason) in [
        ("workerType", json!(null), "`workerType`: expected a string, found null"),
        ("workerType", json!("a/b"), "other than a slash"),
        ("taskQueueId", json!("a"), "<provisionerId>/<workerType>"),
        ("deadline", json!("tomorrow"), "`deadline`: expected a date and time"),
        ("deadline", json!("2020-01-01T00:00:00Z"), "in the future"),
        ("payload", json!([]), "`payload`: expected an object, found an array"),
        ("metadata", json!({"name": "n"}), "`description`: expected a string, found nothing"),
        ("priority", json!("urgent"), "`priority`: expected highest, or "),
        ("scopes", json!([1]), "`scopes`"),
        ("retries", json!(-1), "`retries`"),
    ] {
        let mut definition = definition();
        definition[member] = value;
        test.call("PUT", &path, definition).await.refused(400, "InputError", reason);
    }
    let response = test.call("PUT", "/api/queue/v1/task/x", definition()).await;
    response.refused(400, "InvalidRequestArguments", "slugid");
}

#[tokio::test]
async fn a_task_cannot_have_scopes_that_its_creator_lacks() {
    let path = format!("/api/queue/v1/task/{TASK_ID}");
    // The scope for a higher priority is sufficient.
    let create = "queue:create-task:low:proj/ci";
    let others = ["queue:create-task:project:none", "queue:scheduler-id:-"];
    let test = SandboxTest::start().await.restricted_to(&[&[create], &others[..]].concat());
    let response = test.call("PUT", &path, definition()).await;
    response.refused(403, "InsufficientScopes", "scopes:\n\n```\nsecrets:get:a/*\n```");
    let test = test.restricted_to(&[&["secrets:get:*"], &others[..]].concat());
    let mut routed = definition();
    routed["priority"] = json!("high");
    routed["routes"] = json!(["r"]);
    let response = test.call("PUT", &path, routed).await;
    let missing = json!({ "AllOf": ["queue:route:r", { "AnyOf": [
        "queue:create-task:highest:proj/ci",
        "queue:create-task:very-high:proj/ci",
        "queue:create-task:high:proj/ci",
    ] }] });
    let missing = format!("scopes:\n\n```\n{missing:#}\n```\n\nThis request requires");
    response.refused(403, "InsufficientScopes", &missing);
    let test = test.restricted_to(&[&[create, "secrets:get:*"], &others[..]].concat());
    test.call("PUT", &path, definition()).await.ok();
}

#[tokio::test]
async fn a_group_lists_its_tasks_in_order() {
    let test = SandboxTest::start().await;
    let ids = [TASK_ID, "AAAAAAAAQACAAAAAAAAAAA"];
    for id in ids {
        let mut definition = definition();
        definition["taskGroupId"] = json!(TASK_ID);
        test.call("PUT", &format!("/api/queue/v1/task/{id}"), definition).await.ok();
    }
    let group = test.get(&format!("/api/queue/v1/task-group/{TASK_ID}/list")).await.ok();
    assert_eq!(group["taskGroupId"], TASK_ID);
    let listed = |index: usize| group["tasks"][index]["status"]["taskId"].as_str().unwrap();
    assert_eq!([listed(0), listed(1)], ids);
    assert_eq!(group["tasks"][1]["task"]["taskGroupId"], TASK_ID);
    let response = test.get("/api/queue/v1/task-group/x/list").await;
    response.refused(404, "ResourceNotFound", "no task group x");
}

#[tokio::test]
async fn a_task_is_found_by_its_name() {
    let test = SandboxTest::start().await;
    let path = "/api/index/v1/task/project.sandbox.latest";
    let entry = |rank: u64, expires: String| json!({"taskId": TASK_ID, "rank": rank, "data": {"a": 1}, "expires": expires});
    test.get(path).await.refused(404, "ResourceNotFound", "project.sandbox.latest");
    test.call("PUT", path, entry(1, hours(1))).await.ok();
    test.call("PUT", path, entry(0, hours(1))).await.ok();
    let found = test.get(path).await.ok();
    assert_eq!((&found["rank"], &found["data"]["a"]), (&json!(1), &json!(1)));
    assert_eq!(found["namespace"], "project.sandbox.latest");
    test.call("PUT", path, entry(2, hours(0))).await.ok();
    test.get(path).await.refused(404, "ResourceNotFound", "project.sandbox.latest");
    let response = test.call("PUT", path, json!({"taskId": TASK_ID, "rank": "1"})).await;
    response.refused(400, "InputError", "`rank`: expected a number, found a string");
    let test = test.restricted_to(&["index:insert-task:other"]);
    let response = test.call("PUT", path, entry(1, hours(1))).await;
    response.refused(403, "InsufficientScopes", "```\nindex:insert-task:project.sandbox.latest");
}

#[tokio::test]
async fn a_group_is_listed_page_by_page() {
    let test = SandboxTest::start().await;
    let mut definition = definition();
    definition["taskGroupId"] = json!(TASK_ID);
    let ids = [TASK_ID, "KTBKfEgxR5GdfIIREQIvFA", "KTBKfEgxR5GdfIIREQIvFg"];
    for id in ids {
        test.call("PUT", &format!("/api/queue/v1/task/{id}"), definition.clone()).await.ok();
    }
    let list = format!("/api/queue/v1/task-group/{TASK_ID}/list");
    let listed = |page: &Value| -> Vec<Value> {
        let tasks = page["tasks"].as_array().unwrap();
        tasks.iter().map(|entry| entry["status"]["taskId"].clone()).collect()
    };
    let first = test.get(&format!("{list}?limit=2")).await.ok();
    assert_eq!(
        (listed(&first), &first["continuationToken"]),
        (ids[..2].iter().map(|id| json!(id)).collect(), &json!("2"))
    );
    let last = test.get(&format!("{list}?continuationToken=2&limit=2")).await.ok();
    assert_eq!((listed(&last), last.get("continuationToken")), (vec![json!(ids[2])], None));
    assert_eq!(listed(&test.get(&list).await.ok()).len(), 3);
    for (query, reason) in [
        ("limit=1&limit=2", "query once, found a duplicate field `limit`"),
        ("limit=0", "`limit`: expected a number from 1 to 1000"),
        ("continuationToken=x", "`continuationToken`: expected a number from 0 to 3"),
    ] {
        let response = test.get(&format!("{list}?{query}")).await;
        response.refused(400, "InvalidRequestArguments", reason);
    }
}
