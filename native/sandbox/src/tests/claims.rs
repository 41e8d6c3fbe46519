//! Tests of claims: claiming, reclaiming and resolving tasks.

use super::*;
use crate::payload::parse_rfc3339;

const WORKER: &str = r#"{"workerGroup":"g","workerId":"w","tasks":1}"#;
const RUN: &str = "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ/runs/0";

fn credentials(claim: &Value) -> Credentials {
    Credentials::from_json(claim["credentials"].to_string().as_bytes()).unwrap()
}

/// Creates and claims a task; returns the claim as well.
pub(super) async fn claimed() -> (SandboxTest, Value) {
    let test = SandboxTest::start().await;
    test.call("PUT", &format!("/api/queue/v1/task/{TASK_ID}"), definition()).await.ok();
    let claims = test.call_raw("POST", "/api/queue/v1/claim-work/proj%2Fci", WORKER).await.ok();
    assert_eq!(claims["tasks"].as_array().unwrap().len(), 1);
    (test, claims["tasks"][0].clone())
}

#[tokio::test]
async fn a_worker_gets_the_task_and_its_credentials() {
    let (test, claim) = claimed().await;
    assert_eq!((&claim["runId"], &claim["workerGroup"]), (&json!(0), &json!("g")));
    assert_eq!((&claim["workerId"], &claim["task"]["workerType"]), (&json!("w"), &json!("ci")));
    assert_eq!(claim["status"]["runs"][0]["state"], "running");
    assert_eq!(claim["status"]["runs"][0]["takenUntil"], claim["takenUntil"]);
    let until = parse_rfc3339(claim["takenUntil"].as_str().unwrap()).unwrap();
    let name = format!("task-client/{TASK_ID}/0/on/g/w/until/{}", until.secs());
    assert_eq!(claim["credentials"]["clientId"], name);
    assert!(claim["credentials"]["certificate"].is_string());

    let again = test.call_raw("POST", "/api/queue/v1/claim-work/proj/ci", WORKER).await.ok();
    assert_eq!(again, json!({"tasks": []}));

    let test = test.signed_with(&credentials(&claim));
    let scopes = &test.get("/api/auth/v1/scopes/current").await.ok()["scopes"];
    assert_eq!(
        *scopes,
        json!([
            format!("queue:reclaim-task:{TASK_ID}/0"),
            format!("queue:resolve-task:{TASK_ID}/0"),
            format!("queue:create-artifact:{TASK_ID}/0"),
            "secrets:get:a/*",
            "assume:anonymous",
        ])
    );
}

#[tokio::test]
async fn a_run_is_reclaimed_until_it_is_completed() {
    let (test, claim) = claimed().await;
    let test = test.signed_with(&credentials(&claim));
    let reclaimed = test.call_raw("POST", &format!("{RUN}/reclaim"), "").await.ok();
    assert!(reclaimed.get("task").is_none());
    assert_ne!(reclaimed["credentials"]["accessToken"], claim["credentials"]["accessToken"]);
    let test = test.signed_with(&credentials(&reclaimed));
    for _ in 0..2 {
        let status = &test.call_raw("POST", &format!("{RUN}/completed"), "").await.ok()["status"];
        assert_eq!(status["runs"][0]["reasonResolved"], "completed");
    }
    let response = test.call_raw("POST", &format!("{RUN}/reclaim"), "").await;
    response.refused(409, "RequestConflict", "is not running");
}

#[tokio::test]
async fn an_unclaimed_run_cannot_be_reclaimed_or_resolved() {
    let test = SandboxTest::start().await;
    test.call("PUT", &format!("/api/queue/v1/task/{TASK_ID}"), definition()).await.ok();
    for action in ["reclaim", "completed"] {
        let response = test.call_raw("POST", &format!("{RUN}/{action}"), "").await;
        response.refused(409, "RequestConflict", "is not running");
        for run in ["1", "-", ""] {
            let path = format!("/api/queue/v1/task/{TASK_ID}/runs/{run}/{action}");
            let response = test.call_raw("POST", &path, "").await;
            response.refused(404, "ResourceNotFound", "has no such run");
        }
    }
}

#[tokio::test]
async fn a_claim_requires_scopes_and_a_worker() {
    let path = "/api/queue/v1/claim-work/proj/ci";
    let test = SandboxTest::start().await;
    for (payload, reason) in [
        (json!({"workerId": "w"}), "`workerGroup`"),
        (json!({"workerGroup": "g", "workerId": 1}), "`workerId`: expected a string"),
        (json!({"workerGroup": "g", "workerId": "w", "tasks": 33}), "from 1 to 32"),
        (json!({"workerGroup": "g", "workerId": "\u{7f}"}), "`workerId`: expected an identifier"),
    ] {
        test.call("POST", path, payload).await.refused(400, "InputError", reason);
    }
    let test = test.restricted_to(&["queue:worker-id:g/w"]);
    let response = test.call_raw("POST", path, WORKER).await;
    response.refused(403, "InsufficientScopes", "```\nqueue:claim-work:proj/ci");
    let test = test.restricted_to(&["queue:claim-work:proj/ci"]);
    let response = test.call_raw("POST", path, WORKER).await;
    response.refused(403, "InsufficientScopes", "```\nqueue:worker-id:g/w");
}

#[tokio::test]
async fn the_most_urgent_task_comes_first() {
    let test = SandboxTest::start().await;
    for (id, priority) in [
        ("AAAAAAAAQACAAAAAAAAAAA", "low"),
        ("BAAAAAAAQACAAAAAAAAAAA", "highest"),
        ("CAAAAAAAQACAAAAAAAAAAA", "low"),
    ] {
        let mut definition = definition();
        definition["priority"] = json!(priority);
        test.call("PUT", &format!("/api/queue/v1/task/{id}"), definition).await.ok();
    }
    let payload = json!({"workerGroup": "g", "workerId": "w", "tasks": 32});
    let claims = test.call("POST", "/api/queue/v1/claim-work/proj/ci", payload).await.ok();
    let order: String = claims["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| &claim["status"]["taskId"].as_str().unwrap()[..1])
        .collect();
    assert_eq!(order, "BAC");
}
