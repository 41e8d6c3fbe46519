//! The official clients, unchanged and without credentials, with the URL of the proxy as their root
//! URL.

use reqwest::blocking::{Body, Client};
use serde_json::{Value, json};
use std::process::Command;
use support::clients::{self, node, python, rust};
use support::{Proxy, ScriptedResponse, Upstream};

#[test]
fn the_python_client_works_with_the_proxy() {
    let found = run_scenario(python("scenario.py"));
    assert_eq!(found, expected_results(&found["taskId"]));
}

#[test]
fn the_javascript_client_works_with_the_proxy() {
    let found = run_scenario(node("scenario.mjs"));
    assert_eq!(found, expected_results(&found["taskId"]));
}

/// This client shows the message of an error, but not its code.
#[test]
fn the_rust_client_works_with_the_proxy() {
    let found = run_scenario(rust());
    let mut expected = expected_results(&found["taskId"]);
    let refused = found["insufficientScopes"][1].as_str().unwrap_or_default();
    assert!(
        refused.starts_with("Client ID tester does not have sufficient scopes and is missing"),
        "{found:#}"
    );
    expected["insufficientScopes"] = json!([403, refused]);
    for (member, reason) in [
        ("removed", "there is no such secret, or it has expired\n\n---\n"),
        ("notFound", "there is no task A-task-that-is-not-there\n\n---\n"),
    ] {
        let refused = found[member][1].as_str().unwrap_or_default();
        assert!(refused.starts_with(reason), "{found:#}");
        expected[member] = json!([404, refused]);
    }
    expected["pages"] = json!([2, 1]);
    assert_eq!(found, expected);
}

/// The error response is compressed for these clients, and repeats the task.
#[test]
fn missing_scopes_to_create_a_task_are_explained() {
    for mut scenario in [python("refused.py"), node("refused.mjs")] {
        let proxy = Proxy::sandbox()
            .args(["queue:scheduler-id:*", "queue:create-task:project:none"])
            .start();
        scenario.arg(proxy.url());
        let found = clients::run(scenario);
        assert_eq!((&found[0], &found[1]), (&json!(403), &json!("InsufficientScopes")));
        let message = found[2].as_str().unwrap_or_default();
        assert!(message.contains("\"AnyOf\": [\n    \"queue:create-task:highest:"), "{message}");
        let log = proxy
            .wait_for_log(r#"refused the request: the request needs one of [\"queue:create-task:"#);
        let expected = "\\\"queue:create-task:lowest:harbour/crane\\\"], which the scopes that requests are \
                        restricted to (those of the command line) do not grant; only the services know \
                        whether client \\\"tester\\\" has it";
        assert!(log.contains(expected), "{log}");
    }
}

/// Rust programs in tasks use reqwest if they do not use the official client.
#[test]
fn reqwest_works_with_the_proxy() {
    let upstream = Upstream::start(vec![
        ScriptedResponse::ok("hello"),
        ScriptedResponse::new(201, &[("X-Response", "1")], "made"),
        ScriptedResponse::new(303, &[("Location", "/api/queue/v1/elsewhere")], ""),
        ScriptedResponse::ok("elsewhere"),
        ScriptedResponse::new(404, &[], r#"{"code":"ResourceNotFound","message":"no task"}"#),
    ]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let client = Client::new();
    let url = |path: &str| format!("{}/api/queue/v1/{path}", proxy.url());

    let response = client.get(url("a%2Fb?c=%20d")).send().expect("a response");
    assert_eq!((response.status().as_u16(), response.text().unwrap().as_str()), (200, "hello"));
    assert_eq!(upstream.last_request().target(), "/api/queue/v1/a%2Fb?c=%20d");

    // In chunks, as its length is not known.
    let content = "upload ".repeat(100_000);
    let body = Body::new(std::io::Cursor::new(content.clone()));
    let response = client.put(url("upload")).body(body).send().expect("a response");
    assert_eq!(
        (response.status().as_u16(), response.headers()["x-response"].as_bytes()),
        (201, &b"1"[..])
    );
    assert_eq!(response.text().unwrap(), "made");
    let request = upstream.last_request();
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    assert!(request.body == content.as_bytes(), "{} bytes", request.body.len());

    let response = client.get(url("latest")).send().expect("a response");
    assert_eq!(response.url().path(), "/api/queue/v1/elsewhere");
    assert_eq!(response.text().unwrap(), "elsewhere");

    let response = client.get(url("none")).send().expect("a response");
    assert_eq!(response.status().as_u16(), 404);
    let error: Value = serde_json::from_str(&response.text().unwrap()).unwrap();
    assert_eq!(error["message"], "no task");
}

fn run_scenario(mut scenario: Command) -> Value {
    let proxy = Proxy::sandbox().start();
    scenario.args([&proxy.url(), proxy.sandbox_root_url()]);
    let found = clients::run(scenario);
    assert!(!proxy.whole_log().contains("no-secret"), "the accessToken is in the log");
    found
}

fn expected_results(task_id: &Value) -> Value {
    let content = "The crane has moved.\n";
    json!({
        "currentScopes": ["*", "assume:anonymous"],
        "testAuthenticateGet": "tester",
        "testAuthenticate": ["test:*", "assume:anonymous"],
        "insufficientScopes": [403, "InsufficientScopes"],
        "taskId": task_id,
        "createTask": "pending",
        "task": "move the crane",
        "status": "pending",
        "listTaskGroup": [task_id],
        "claimWork": [task_id],
        "upload": 200,
        "getArtifact": content,
        "redirected": content,
        "downloaded": [[content, "text/plain"], [content, "text/plain"]],
        "reportCompleted": "completed",
        "secret": { "key": "ü" },
        "secrets": ["project/harbour/key", "project/sandbox/greeting"],
        "removed": [404, "ResourceNotFound"],
        "findTask": task_id,
        "unsigned": 403,
        "bewit": { "status": 303, "location is the body": true, "content": content },
    })
}
