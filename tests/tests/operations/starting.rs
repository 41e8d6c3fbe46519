//! The proxy while it starts: the admin listener responds, and signals end the proxy, however long the
//! start takes.

use serde_json::{Value, json};
use support::admin::assert_samples;
use support::{Latch, Proxy, ProxyBuilder, ScriptedResponse, Upstream};

#[test]
fn the_admin_listener_responds_while_the_task_is_fetched() {
    let latch = Latch::new();
    let task = "HTTP/1.1 200 \r\nContent-Length: 17\r\n\r\n{\"scopes\":[\"a\"]}\n";
    let upstream = Upstream::start([
        ScriptedResponse::nothing().then_wait(&latch).then(task).then_close(),
        ScriptedResponse::ok("hello"),
    ]);
    let proxy = with_task(&upstream).args(["--admin", "127.0.0.1:0"]).spawn();
    upstream.wait_for_requests(1);
    let health = proxy.get_admin("/healthz");
    assert_eq!((health.status(), health.text()), (200, "ok\n"));
    let ready = proxy.get_admin("/readyz");
    let why = "starting: the task's scopes are being fetched (task T)";
    assert_eq!((ready.status(), ready.text()), (503, format!("{why}\n").as_str()));
    let metrics = proxy.metrics();
    assert_samples(&metrics, &[("connections_total", 0.0), ("draining", 0.0)]);
    let status = proxy.get_admin("/status").json();
    for (found, expected) in [
        (&status["rootUrl"], json!(upstream.root_url())),
        (&status["ready"], json!(false)),
        (&status["notReadyBecause"], json!(why)),
        (&status["listening"], json!([])),
        (&status["credentials"], Value::Null),
    ] {
        assert_eq!(found, &expected, "{status:#}");
    }
    assert!(!proxy.log().contains("listening on"), "{}", proxy.log());

    latch.open();
    proxy.wait_for_log("listening on");
    assert_eq!(proxy.get_admin("/readyz").status(), 200);
    let status = proxy.get_admin("/status").json();
    assert_eq!(status["credentials"]["authorizedScopes"], json!(["a"]), "{status:#}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_start() {
    let folder = support::Folder::new();
    let socket = folder.path("admin.sock");
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
        let admin = format!("unix:{}", socket.display());
        let proxy = with_task(&upstream).args(["--admin", &admin]).spawn();
        upstream.wait_for_requests(1);
        assert!(socket.exists());
        proxy.signal(signal);
        let ended = proxy.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        let expected = format!("stopped by SIG{signal} during the start");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
        assert!(!socket.exists(), "the socket is left behind");
        upstream.wait_for_closed_connections(1);
    }
}

/// The credentials are never written to the pipe.
#[cfg(unix)]
#[test]
fn a_signal_ends_the_wait_for_credentials() {
    let folder = support::Folder::new();
    let fifo = folder.path("fifo");
    let created = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(created.expect("every Unix has mkfifo").success());
    // Opened for reading and writing, so that this does not block.
    let script = format!("exec \"$0\" \"$@\" 3<>{}", fifo.display());
    let proxy = Proxy::builder()
        .args(["--root-url", "http://127.0.0.1:1", "--log-level", "debug"])
        .args(["--credentials-fd", "3"])
        .under(["sh", "-c", &script])
        .spawn();
    proxy.wait_for_log("reading --credentials-fd 3");
    proxy.signal("TERM");
    let ended = proxy.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// The first process of a PID namespace gets only signals for which it has a handler.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_first_process_of_a_container() {
    use std::process::Command;
    if !support::users::can_switch_users(&[["unshare", "--version"]]) {
        return;
    }
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let proxy = with_task(&upstream).under(["unshare", "--pid", "--fork"]).spawn();
    upstream.wait_for_requests(1);
    let id = proxy.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let killed = Command::new("kill").args(["-s", "TERM", children.trim()]).status();
    assert!(killed.expect("kill runs").success());
    let ended = proxy.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("stopped by SIGTERM during the start"), "{}", ended.stderr);
}

fn with_task(upstream: &Upstream) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--task-id", "T"])
}
