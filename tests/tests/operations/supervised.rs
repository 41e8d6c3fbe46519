//! Notifications to a service manager (sd_notify).

#![cfg(unix)]

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use support::Proxy;

#[test]
fn a_service_manager_is_notified_of_readiness_and_shutdown() {
    let directory = Directory::new("notify");
    let path = directory.0.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(support::DEADLINE)).unwrap();

    let proxy = Proxy::sandbox().env("NOTIFY_SOCKET", &path).start();
    assert_eq!(message(&manager), "READY=1");
    assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);

    let stopped = Command::new("kill").arg(proxy.id().to_string()).status().unwrap();
    assert!(stopped.success());
    assert_eq!(message(&manager), "STOPPING=1");
}

#[test]
fn a_missing_service_manager_is_not_an_error() {
    let proxy = Proxy::sandbox().env("NOTIFY_SOCKET", "/nonexistent/notify").start();
    proxy.wait_for_log("cannot notify the service manager of READY=1");
    assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);
}

fn message(manager: &UnixDatagram) -> String {
    let mut message = [0; 64];
    let length = manager.recv(&mut message).expect("the proxy tells its service manager");
    String::from_utf8_lossy(&message[..length]).into_owned()
}

/// A temporary directory.
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
