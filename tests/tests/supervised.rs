//! What supervises the proxy: a service manager that is told when it is ready, a container's health
//! check.

#![cfg(unix)]

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use stories::{ClosedPort, Proxy};

#[test]
fn a_service_manager_is_told_when_requests_can_come_and_when_the_end_begins() {
    let directory = Directory::new("notify");
    let path = directory.0.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(stories::DEADLINE)).unwrap();

    let proxy = Proxy::sandbox().env("NOTIFY_SOCKET", &path).start();
    assert_eq!(message(&manager), "READY=1");
    assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);

    let stopped = Command::new("kill").arg(proxy.id().to_string()).status().unwrap();
    assert!(stopped.success());
    assert_eq!(message(&manager), "STOPPING=1");
}

#[test]
fn a_service_manager_that_is_not_there_is_no_reason_to_fail() {
    let proxy = Proxy::sandbox().env("NOTIFY_SOCKET", "/nonexistent/notify").start();
    proxy.wait_for_log("cannot tell the service manager READY=1");
    assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);
}

#[test]
fn health_is_an_answer_of_the_proxys_own() {
    let proxy = Proxy::sandbox().start();
    let health = |port: u16| {
        Proxy::with_nothing().args(["--health", "-i127.0.0.1", "-p", &port.to_string()]).run()
    };
    let finished = health(proxy.address().port());
    assert!(finished.status.success(), "{finished:?}");
    let expected = concat!("healthy: taskcluster-proxy ", env!("CARGO_PKG_VERSION"), " at ");
    assert_eq!(finished.stdout, format!("{expected}{}\n", proxy.address()));
    assert_eq!(finished.stderr, "");

    // One that listens and never accepts.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = ClosedPort::take();
    for (address, expected) in
        [(closed.address(), "no connection to"), (silent.local_addr().unwrap(), "no answer from")]
    {
        let finished = health(address.port());
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let expected = format!("taskcluster-proxy: {expected} {address}");
        assert!(finished.stderr.starts_with(&expected), "{finished:?}");
        assert_eq!((finished.stderr.lines().count(), finished.stdout.as_str()), (1, ""));
    }
}

fn message(manager: &UnixDatagram) -> String {
    let mut message = [0; 64];
    let length = manager.recv(&mut message).expect("the proxy tells its service manager");
    String::from_utf8_lossy(&message[..length]).into_owned()
}

/// A directory of its own, until the story is over.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("proxy-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
