//! The official clients work behind the proxy as they are: they have its URL for a root URL and no
//! credentials.

use serde_json::json;
use std::process::Command;
use stories::Proxy;
use stories::clients::{self, node, python};

#[test]
fn the_python_client() {
    does_what_a_task_does(python("story.py"));
}

#[test]
fn the_javascript_client() {
    does_what_a_task_does(node("story.mjs"));
}

fn does_what_a_task_does(mut story: Command) {
    let proxy = Proxy::sandbox().start();
    story.args([&proxy.url(), proxy.sandbox_root_url()]);
    let saw = clients::run(story);
    let task_id = &saw["taskId"];
    let content = "The crane has moved.\n";
    let expected = json!({
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
    });
    assert_eq!(saw, expected);
    assert!(!proxy.log().contains("no-secret"), "the accessToken is in the log");
}
