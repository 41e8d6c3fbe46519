//! `--task-id`: requests are restricted to the scopes of a task, which the proxy fetches from the queue at
//! the start.

use serde_json::{Value, json};
use support::hawk::Claim;
use support::{ClosedPort, Proxy, Request, ScriptedResponse, Upstream};

#[test]
fn scopes_of_the_task_are_added_to_those_of_the_command_line() {
    let upstream = Upstream::start(queue(json!({ "scopes": ["task:*", "b:c"], "payload": {} })));
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["-t", "-Task", "a:b"]).start();
    let response = proxy.get("/api/queue/v1/x");
    let scopes = json!(["a:b", "task:*", "b:c"]);
    let shown = response.header("x-taskcluster-authorized-scopes").unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), scopes);
    let [task, proxied] = upstream.requests().try_into().unwrap();
    assert_eq!((task.method(), task.target()), ("GET", "/api/queue/v1/task/-Task"));
    assert_eq!(task.header("authorization"), None);
    assert_eq!(
        Claim::of(&proxied).assert_signed_with("no-secret").ext(),
        json!({ "authorizedScopes": scopes })
    );
}

#[test]
fn with_a_task_without_scopes_requests_have_no_scopes() {
    for task in [json!({ "scopes": [] }), json!({ "payload": {} })] {
        let upstream = Upstream::start(queue(task));
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.header("x-taskcluster-authorized-scopes"), Some("[]"));
        assert_eq!(Claim::of(&upstream.last_request()).ext(), json!({ "authorizedScopes": [] }));
    }
}

#[test]
fn without_scopes_and_a_task_requests_are_not_restricted() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
    assert_eq!(response.header("x-taskcluster-authorized-scopes"), None);
    assert_eq!(Claim::of(&upstream.last_request()).ext(), Value::Null);
}

#[test]
fn a_failing_queue_is_retried() {
    let task = ScriptedResponse::ok(r#"{"scopes": ["a:b"]}"#);
    let upstream = Upstream::start([
        ScriptedResponse::status(503),
        ScriptedResponse::nothing().then_close(),
        task,
    ]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t"]).start();
    assert_eq!(upstream.requests().len(), 3);
    let shown = proxy
        .call("POST", "/bewit", "https://tc.example.com/x")
        .header("x-taskcluster-authorized-scopes")
        .map(str::to_owned);
    assert_eq!(shown.as_deref(), Some(r#"["a:b"]"#));
}

#[test]
fn a_task_that_cannot_be_fetched_is_reported_at_the_start() {
    let unknown = json!({ "code": "ResourceNotFound", "message": "no task t\nsecond line" });
    for (response, why) in [
        (
            ScriptedResponse::new(404, &[], unknown.to_string()),
            "the queue responded with 404 Not Found: no task t second line",
        ),
        (ScriptedResponse::new(400, &[], "<html>"), "the queue responded with 400 Bad Request"),
        (
            ScriptedResponse::ok("[]"),
            "the queue's response is not a task definition with an array of scopes",
        ),
        (
            ScriptedResponse::ok(r#"{"scopes": "a:b"}"#),
            "the queue's response is not a task definition with an array of scopes",
        ),
    ] {
        let upstream = Upstream::start([response]);
        let builder = Proxy::in_front_of(upstream.root_url()).args(["-p0", "--task-id", "t/ü"]);
        assert_eq!(
            builder.run().error_line(),
            format!("taskcluster-proxy: could not fetch taskcluster task 't/ü' : {why}")
        );
        let requests = upstream.requests();
        assert_eq!((requests.len(), requests[0].target()), (1, "/api/queue/v1/task/t%2F%C3%BC"));
    }
}

/// In a new deployment the anonymous role has no scopes.
#[test]
fn a_queue_that_rejects_anonymous_requests_gets_a_signed_one() {
    for status in [401, 403] {
        let upstream = Upstream::start(move |request: &Request| {
            match (request.header("authorization"), request.target()) {
                (None, _) => ScriptedResponse::new(status, &[], "refused"),
                (Some(_), "/api/queue/v1/task/t") => ScriptedResponse::ok(r#"{"scopes": ["a:b"]}"#),
                _ => ScriptedResponse::status(200),
            }
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).args(["--task-id", "t", "c"]).start();
        let response = proxy.get("/api/queue/v1/x");
        assert_eq!(response.header("x-taskcluster-authorized-scopes"), Some(r#"["c","a:b"]"#));
        let [_, signed, _] = &upstream.requests()[..] else { panic!("{:?}", upstream.requests()) };
        // This request is not restricted.
        assert_eq!(Claim::of(signed).assert_signed_with("no-secret").ext(), Value::Null);
    }
}

#[test]
fn a_task_that_the_queue_does_not_show_is_reported_with_solutions() {
    let refusal = |code: &str, message: &str| {
        let message = format!("{message}\n\n---\n\n* method:     task");
        json!({ "code": code, "message": message }).to_string()
    };
    let missing = "scopes:\n\n```\nqueue:get-task:t\n```";
    let grant = "; grant the scope \"queue:get-task:t\" either to the role \"anonymous\" or to the client \
                 of these credentials, or leave out --task-id and name the scopes on the command line";
    let other = "; otherwise grant the scope \"queue:get-task:t\" to the role \"anonymous\", or leave out \
                 --task-id and name the scopes on the command line";
    for (status, body, why, ways) in [
        (
            403,
            refusal("InsufficientScopes", missing),
            "with 403 Forbidden to the proxy's credentials: scopes: `queue:get-task:t`",
            grant,
        ),
        (
            401,
            refusal("AuthenticationFailed", "Unauthorized: Bad mac"),
            "with 401 Unauthorized to the proxy's credentials: Unauthorized: Bad mac: the signature \
             does not match (Bad mac): the accessToken is not that of client \"tester\"",
            other,
        ),
        (
            403,
            refusal("InsufficientScopes", "Client ID auth-failed:no-auth does not have x"),
            ": the service received no signature: ",
            other,
        ),
        (
            401,
            "no".to_owned(),
            "credentials: get new credentials if they should be accepted",
            other,
        ),
    ] {
        let upstream = Upstream::start([ScriptedResponse::new(status, &[], body)]);
        let finished =
            Proxy::in_front_of(upstream.root_url()).args(["-p0", "--task-id", "t"]).run();
        let line = finished.error_line();
        assert!(line.contains(why), "{line}");
        assert!(line.ends_with(ways), "{line}");
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[test]
fn a_queue_that_cannot_be_reached_is_reported_at_the_start() {
    let port = ClosedPort::take();
    let finished = Proxy::in_front_of(port.root_url()).args(["-p0", "-tT"]).run();
    let line = finished.error_line();
    let expected = "taskcluster-proxy: could not fetch taskcluster task 'T' : cannot connect: ";
    assert!(line.starts_with(expected) && line.contains("refused"), "{line}");
}

/// A queue in which this is the definition of every task.
fn queue(task: Value) -> impl FnMut(&Request) -> ScriptedResponse {
    move |request| match request.target().starts_with("/api/queue/v1/task/") {
        true => ScriptedResponse::ok(task.to_string()),
        false => ScriptedResponse::status(200),
    }
}
