//! Tests of the queue: tasks that are created and looked at.

use super::*;

#[tokio::test]
async fn the_sample_task_is_open_to_all() {
    let story = Story::begin().await.unsigned();
    let path = "/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ";
    let scopes = json!(["queue:get-artifact:SampleArtifacts/*", "secrets:get:project/sandbox/*"]);
    assert_eq!(story.get(path).await.ok()["scopes"], scopes);
    let status = &story.get(&format!("{path}/status")).await.ok()["status"];
    assert_eq!((&status["state"], &status["runs"][0]["runId"]), (&json!("completed"), &json!(0)));
    for path in [
        "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ",
        "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ/status",
    ] {
        let error = story.get(path).await;
        let error = error.refused(404, "ResourceNotFound", "there is no task fN1Sb");
        assert_eq!(error["requestInfo"]["params"], json!({"taskId": TASK_ID}));
    }
}

#[tokio::test]
async fn a_task_is_created_once() {
    let story = Story::begin().await;
    let path = format!("/api/queue/v1/task/{TASK_ID}");
    let definition = definition();
    let status = story.call("PUT", &path, definition.clone()).await.ok();
    assert_eq!(status["status"]["taskId"], TASK_ID);
    assert_eq!(status["status"]["taskQueueId"], "proj/ci");
    assert_eq!(status["status"]["taskGroupId"], TASK_ID);
    assert_eq!(status["status"]["runs"][0]["state"], "pending");
    assert_eq!(story.call("PUT", &path, definition.clone()).await.ok(), status);
    assert_eq!(story.get(&format!("{path}/status")).await.ok(), status);
    let given = story.get(&path).await.ok();
    assert_eq!((&given["priority"], &given["retries"]), (&json!("lowest"), &json!(5)));

    let mut other = definition;
    other["payload"] = json!({"command": []});
    let answer = story.call("PUT", &path, other).await;
    answer.refused(409, "RequestConflict", "with another definition");
}

#[tokio::test]
async fn a_definition_has_to_be_whole() {
    let story = Story::begin().await;
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
        story.call("PUT", &path, definition).await.refused(400, "InputError", reason);
    }
    let answer = story.call("PUT", "/api/queue/v1/task/x", definition()).await;
    answer.refused(400, "InvalidRequestArguments", "slugid");
}

#[tokio::test]
async fn a_task_can_have_no_scopes_that_its_creator_lacks() {
    let path = format!("/api/queue/v1/task/{TASK_ID}");
    // A more urgent priority will do.
    let create = "queue:create-task:low:proj/ci";
    let others = ["queue:create-task:project:none", "queue:scheduler-id:-"];
    let story = Story::begin().await.restricted_to(&[&[create], &others[..]].concat());
    let answer = story.call("PUT", &path, definition()).await;
    answer.refused(403, "InsufficientScopes", "scopes:\n\n```\nsecrets:get:a/*\n```");
    let story = story.restricted_to(&[&["secrets:get:*"], &others[..]].concat());
    let mut routed = definition();
    routed["priority"] = json!("high");
    routed["routes"] = json!(["r"]);
    let answer = story.call("PUT", &path, routed).await;
    let missing = json!({ "AllOf": ["queue:route:r", { "AnyOf": [
        "queue:create-task:highest:proj/ci",
        "queue:create-task:very-high:proj/ci",
        "queue:create-task:high:proj/ci",
    ] }] });
    let missing = format!("scopes:\n\n```\n{missing:#}\n```\n\nThis request requires");
    answer.refused(403, "InsufficientScopes", &missing);
    let story = story.restricted_to(&[&[create, "secrets:get:*"], &others[..]].concat());
    story.call("PUT", &path, definition()).await.ok();
}

#[tokio::test]
async fn a_group_lists_its_tasks_in_order() {
    let story = Story::begin().await;
    let ids = [TASK_ID, "AAAAAAAAQACAAAAAAAAAAA"];
    for id in ids {
        let mut definition = definition();
        definition["taskGroupId"] = json!(TASK_ID);
        story.call("PUT", &format!("/api/queue/v1/task/{id}"), definition).await.ok();
    }
    let group = story.get(&format!("/api/queue/v1/task-group/{TASK_ID}/list")).await.ok();
    assert_eq!(group["taskGroupId"], TASK_ID);
    let listed = |index: usize| group["tasks"][index]["status"]["taskId"].as_str().unwrap();
    assert_eq!([listed(0), listed(1)], ids);
    assert_eq!(group["tasks"][1]["task"]["taskGroupId"], TASK_ID);
    let answer = story.get("/api/queue/v1/task-group/x/list").await;
    answer.refused(404, "ResourceNotFound", "no task group x");
}

#[tokio::test]
async fn a_task_is_found_by_its_name() {
    let story = Story::begin().await;
    let path = "/api/index/v1/task/project.sandbox.latest";
    let entry = |rank: u64, expires: String| json!({"taskId": TASK_ID, "rank": rank, "data": {"a": 1}, "expires": expires});
    story.get(path).await.refused(404, "ResourceNotFound", "project.sandbox.latest");
    story.call("PUT", path, entry(1, hours(1))).await.ok();
    story.call("PUT", path, entry(0, hours(1))).await.ok();
    let found = story.get(path).await.ok();
    assert_eq!((&found["rank"], &found["data"]["a"]), (&json!(1), &json!(1)));
    assert_eq!(found["namespace"], "project.sandbox.latest");
    story.call("PUT", path, entry(2, hours(0))).await.ok();
    story.get(path).await.refused(404, "ResourceNotFound", "project.sandbox.latest");
    let answer = story.call("PUT", path, json!({"taskId": TASK_ID, "rank": "1"})).await;
    answer.refused(400, "InputError", "`rank`: expected a number, found a string");
    let story = story.restricted_to(&["index:insert-task:other"]);
    let answer = story.call("PUT", path, entry(1, hours(1))).await;
    answer.refused(403, "InsufficientScopes", "```\nindex:insert-task:project.sandbox.latest");
}

#[tokio::test]
async fn a_group_is_listed_page_by_page() {
    let story = Story::begin().await;
    let mut definition = definition();
    definition["taskGroupId"] = json!(TASK_ID);
    let ids = [TASK_ID, "KTBKfEgxR5GdfIIREQIvFA", "KTBKfEgxR5GdfIIREQIvFg"];
    for id in ids {
        story.call("PUT", &format!("/api/queue/v1/task/{id}"), definition.clone()).await.ok();
    }
    let list = format!("/api/queue/v1/task-group/{TASK_ID}/list");
    let listed = |page: &Value| -> Vec<Value> {
        let tasks = page["tasks"].as_array().unwrap();
        tasks.iter().map(|entry| entry["status"]["taskId"].clone()).collect()
    };
    let first = story.get(&format!("{list}?limit=2")).await.ok();
    assert_eq!(
        (listed(&first), &first["continuationToken"]),
        (ids[..2].iter().map(|id| json!(id)).collect(), &json!("2"))
    );
    let last = story.get(&format!("{list}?continuationToken=2&limit=2")).await.ok();
    assert_eq!((listed(&last), last.get("continuationToken")), (vec![json!(ids[2])], None));
    assert_eq!(listed(&story.get(&list).await.ok()).len(), 3);
    for (query, reason) in [
        ("limit=0", "`limit`: expected a number from 1 to 1000"),
        ("continuationToken=x", "`continuationToken`: expected a number from 0 to 3"),
    ] {
        let answer = story.get(&format!("{list}?{query}")).await;
        answer.refused(400, "InvalidRequestArguments", reason);
    }
}
