//! A log that cannot be written delays neither requests nor the end of the proxy.

#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use support::admin::value;
use support::{
    DEADLINE, ProcessOutput, Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream, request,
};

/// More lines than fit into a pipe and into the proxy's own queue.
const MANY: usize = 4_000;

fn with_admin(upstream: &Upstream) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--admin", "127.0.0.1:0"])
}

fn upstream() -> Upstream {
    Upstream::start(|_: &Request| ScriptedResponse::ok("hello"))
}

/// Sends this many requests over one connection, and reads the responses.
fn exchange_many(proxy: &Proxy, count: usize) {
    let mut client = proxy.connect();
    for _ in 0..count {
        client.send(request("GET", "/api/queue/v1/ping", ""));
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn requests_are_served_while_stderr_is_not_read_and_dropped_lines_are_counted() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    // This finds the admin address in the log, before reading is paused.
    proxy.metrics();
    proxy.pause_reading(true);
    exchange_many(&proxy, MANY);
    let dropped = value(&proxy.metrics(), "dropped_log_lines_total").unwrap();
    assert!(dropped > 0.0 && dropped < MANY as f64, "{dropped}");
    proxy.pause_reading(false);
    let line = proxy.wait_for_log("log lines were dropped");
    assert!(line.contains(&format!("{dropped} log lines")), "{line}");
    proxy.get("/api/queue/v1/ping");
    let logged =
        proxy.whole_log().lines().filter(|line| line.contains("/api/queue/v1/ping")).count();
    assert_eq!(logged, MANY + 1 - dropped as usize);
}

#[test]
fn sigterm_ends_the_proxy_while_stderr_is_not_read() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    proxy.pause_reading(true);
    exchange_many(&proxy, MANY);
    let start = Instant::now();
    proxy.signal("TERM");
    let status = proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0));
    // The proxy waits for the log for at most 1 s; the rest is for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_last_lines_are_written_before_the_proxy_ends() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    exchange_many(&proxy, 100);
    proxy.signal("TERM");
    let ProcessOutput { stderr, .. } = proxy.wait();
    assert!(stderr.contains("SIGTERM"), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.contains("/v1/ping")).count(), 100);
}

#[test]
fn requests_are_served_with_a_closed_stderr_and_with_a_full_disk() {
    for redirect in ["2>&-", "2>/dev/full"] {
        assert_serves_without_log(&["sh", "-c", &format!("exec \"$0\" \"$@\" {redirect}")], 1);
    }
}

/// As after Ctrl-S: the terminal takes no output.
#[test]
fn requests_are_served_while_the_terminal_is_stopped() {
    let script = "import os, pty, sys, termios
terminal, stderr = pty.openpty()
termios.tcflow(stderr, termios.TCOOFF)
os.dup2(stderr, 2)
os.set_inheritable(terminal, True)
os.execvp(sys.argv[1], sys.argv[1:])";
    assert_serves_without_log(&["python3", "-c", script], MANY);
}

/// A proxy that is started with this prefix cannot write its log; it serves this many requests and ends in
/// time.
fn assert_serves_without_log(prefix: &[&str], count: usize) {
    let upstream = upstream();
    let folder = support::Folder::new();
    let socket = folder.path("s");
    let proxy = Proxy::in_front_of(upstream.root_url())
        .under(prefix)
        .args(["--socket".as_ref(), socket.as_os_str()])
        .without_tcp()
        .spawn();
    // There is no log line to wait for.
    let start = Instant::now();
    let connect = || loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < DEADLINE, "{prefix:?}: {error}"),
        }
        std::thread::yield_now();
    };
    for _ in 0..count {
        let mut stream = connect();
        let mut response = String::new();
        let request = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{prefix:?}: {response}");
    }
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(0), "{prefix:?}");
}
