//! `--socket`, and sockets that a service manager passes to the proxy.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use support::users::{DAEMON, NOBODY, can_switch_users, status_for};
use support::{Folder, ProcessOutput, Proxy, ProxyBuilder, skip};

/// The path of a socket, in a folder that all users may enter.
fn socket_in(folder: &Folder) -> String {
    let anyone = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), anyone).expect("the folder is ours");
    folder.path("proxy.sock").to_str().expect("temporary folders have text names").to_owned()
}

fn at(socket: &str) -> ProxyBuilder {
    Proxy::sandbox().without_tcp().args(["--socket", socket])
}

fn ping(uid: &str, socket: &str) -> u16 {
    status_for(uid, &["--unix-socket", socket, "http://taskcluster/api/queue/v1/ping"])
}

fn is_socket(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[test]
fn it_listens_on_the_socket_only() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let folder = Folder::new();
    let socket = socket_in(&folder);
    let proxy = at(&socket).start();
    assert_eq!(ping("0", &socket), 200);
    let log = proxy.log();
    assert_eq!(log.matches("listening on ").count(), 1, "{log}");
    // The mode of the socket denies access to other users.
    assert_eq!(ping(NOBODY, &socket), 0);
    let mode = fs::metadata(&socket).expect("the socket exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_socket_is_removed_at_shutdown_and_replaced_after_a_crash() {
    let folder = Folder::new();
    let socket = socket_in(&folder);
    for _ in 0..2 {
        let proxy = at(&socket).start();
        assert!(is_socket(&socket));
        proxy.kill();
        assert!(is_socket(&socket), "left behind");
    }
    let proxy = at(&socket).start();
    proxy.signal("TERM");
    assert!(proxy.wait().status.success());
    assert!(!Path::new(&socket).exists());
}

#[test]
fn a_socket_in_use_is_not_replaced() {
    let folder = Folder::new();
    let socket = socket_in(&folder);
    let _live = UnixListener::bind(&socket).expect("nothing is there yet");
    let ProcessOutput { status, stderr, .. } = at(&socket).run();
    let expected = format!("cannot listen on {}: another program listens on it", socket);
    assert!(!status.success() && stderr.contains(&expected), "{status} {stderr}");
    UnixStream::connect(&socket).expect("it still listens");
}

#[test]
fn users_are_identified_on_the_socket() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let folder = Folder::new();
    let socket = socket_in(&folder);
    let proxy = at(&socket)
        .args(["--socket-mode", "666", "--allowed-user", "nobody", "--credentials-from", "root"])
        .start();
    let users = [("0", 200), (NOBODY, 200), (DAEMON, 0)];
    for (uid, status) in users {
        assert_eq!(ping(uid, &socket), status, "uid {uid}");
    }
    let line = proxy.wait_for_log("Rejected connection: ");
    assert!(line.contains("from the Unix socket, of uid 1, expected user nobody"), "{line}");
    for (uid, status) in [(NOBODY, 403), ("0", 200)] {
        let body = r#"{"clientId":"new","accessToken":"x"}"#;
        let url = "http://taskcluster/credentials";
        let args = ["--unix-socket", &socket, "-X", "PUT", "--data", body, url];
        assert_eq!(status_for(uid, &args), status, "uid {uid}");
    }
}

#[test]
fn it_listens_on_a_socket_and_on_tcp() {
    let folder = Folder::new();
    let socket = socket_in(&folder);
    let proxy = Proxy::sandbox().args(["--socket", &socket]).start();
    assert_eq!(proxy.get("/api/queue/v1/ping").status(), 200);
    assert!(is_socket(&socket));
}

/// Starts the proxy as systemd does, after the first connection.
#[test]
fn sockets_of_the_service_manager_are_used() {
    if !can_switch_users(&[["curl", "--version"], ["systemd-socket-activate", "--version"]]) {
        return;
    }
    let folder = Folder::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let tcp = format!("127.0.0.1:{}", port.expect("there is a free port").port());
    let unix = socket_in(&folder);
    let activate = ["systemd-socket-activate", "-l", &tcp, "-l", &unix];
    let waker = std::thread::spawn({
        let unix = unix.clone();
        move || {
            status_for(
                "0",
                &[
                    "--retry",
                    "30",
                    "--retry-all-errors",
                    "--retry-delay",
                    "1",
                    "--unix-socket",
                    &unix,
                    "http://taskcluster/api/queue/v1/ping",
                ],
            )
        }
    });
    let proxy = Proxy::sandbox().without_tcp().under(activate).start();
    assert_eq!(waker.join().expect("curl runs"), 200);
    assert_eq!(status_for("0", &[&format!("http://{tcp}/api/queue/v1/ping")]), 200);
    let log = proxy.wait_for_log("sandbox at ") + &proxy.log();
    assert!(log.contains(&format!("listening on {tcp}")), "{log}");
    assert!(log.contains(&format!("listening on unix:{unix}")), "{log}");
    assert!(!log.contains(":8080"), "{log}");
    // The socket belongs to the service manager and is not removed.
    proxy.signal("TERM");
    assert!(proxy.wait().status.success());
    assert!(is_socket(&unix));
}

/// Descriptor 3 is a file here.
#[test]
fn a_descriptor_that_is_not_a_socket_is_rejected() {
    if std::process::Command::new("bash").arg("--version").output().is_err() {
        return skip("bash is not installed");
    }
    let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3</dev/null";
    let finished = Proxy::sandbox().under(["bash", "-c", script]).run();
    let ProcessOutput { status, stderr, .. } = finished;
    assert!(!status.success(), "{status}");
    assert!(stderr.contains("LISTEN_FDS: expected TCP or Unix stream sockets"), "{stderr}");
}
