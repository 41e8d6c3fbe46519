//! A log that cannot be written delays no request and not the end of the proxy.

#![cfg(unix)]

use std::time::{Duration, Instant};
use support::admin::value;
use support::{ProcessOutput, Proxy, ProxyBuilder, Request, ScriptedResponse, Upstream, request};

/// More lines than fit into a pipe and into the proxy's own queue.
const MANY: usize = 4_000;

fn with_admin(upstream: &Upstream) -> ProxyBuilder {
    Proxy::in_front_of(upstream.root_url()).args(["--admin", "127.0.0.1:0"])
}

fn upstream() -> Upstream {
    Upstream::start(|_: &Request| ScriptedResponse::ok("hello"))
}

/// Sends so many requests over one connection; each is responded to.
fn exchange_many(proxy: &Proxy, count: usize) {
    let mut client = proxy.connect();
    for _ in 0..count {
        client.send(request("GET", "/api/queue/v1/ping", ""));
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn requests_go_on_while_nobody_reads_stderr_and_dropped_lines_are_counted() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    // It looks for the address in the log.
    proxy.metrics();
    proxy.pause_reading(true);
    exchange_many(&proxy, MANY);
    let dropped = value(&proxy.metrics(), "dropped_log_lines_total").unwrap();
    assert!(dropped > 0.0 && dropped < MANY as f64, "{dropped}");
    proxy.pause_reading(false);
    let line = proxy.wait_for_log("log lines were dropped");
    assert!(line.contains(&format!("{dropped} log lines")), "{line}");
    let id = proxy
        .get("/api/queue/v1/ping")
        .header("x-taskcluster-proxy-request-id")
        .unwrap()
        .to_owned();
    proxy.wait_for_log(&id);
    let said = proxy.log().lines().filter(|line| line.contains("/api/queue/v1/ping")).count();
    assert_eq!(said, MANY + 1 - dropped as usize);
}

#[test]
fn it_ends_while_nobody_reads_stderr() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    proxy.pause_reading(true);
    exchange_many(&proxy, MANY);
    let start = Instant::now();
    proxy.signal("TERM");
    let status = proxy.wait_for_exit();
    assert_eq!(status.code(), Some(0));
    // The bound is 1 s; this only tells it from a wait for the log.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let upstream = upstream();
    let proxy = with_admin(&upstream).start();
    exchange_many(&proxy, 100);
    proxy.signal("TERM");
    let ProcessOutput { stderr, .. } = proxy.wait();
    assert!(stderr.contains("SIGTERM"), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.contains("/v1/ping")).count(), 100);
}

#[test]
fn a_closed_stderr_and_a_full_disk_stop_nothing() {
    for redirect in ["2>&-", "2>/dev/full"] {
        let upstream = upstream();
        let folder = support::Folder::new();
        let socket = folder.path("s");
        let script = format!("exec \"$0\" \"$@\" {redirect}");
        let proxy = Proxy::in_front_of(upstream.root_url())
            .under(["sh", "-c", &script])
            .args(["--socket".as_ref(), socket.as_os_str()])
            .without_tcp()
            .spawn();
        let mut stream = loop {
            // Nothing tells that it listens: that is what this test is about.
            match std::os::unix::net::UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
        };
        let mut response = String::new();
        std::io::Write::write_all(
            &mut stream,
            b"GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
        std::io::Read::read_to_string(&mut stream, &mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{redirect}: {response}");
        proxy.signal("TERM");
        assert_eq!(proxy.wait_for_exit().code(), Some(0), "{redirect}");
    }
}
