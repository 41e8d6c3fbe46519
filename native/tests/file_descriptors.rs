//! A process that has run out of file descriptors continues to listen. A test program of its own, as
//! the limit applies to the whole process.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;
use taskcluster_proxy::testing::{Admission, Listen, bind};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn accepts_again_once_there_are_some() {
    let listen = Listen { address: Some([127, 0, 0, 1].into()), port: 0 };
    let mut listeners = bind(&listen, &Admission::default()).await.unwrap();
    let client = TcpStream::connect(listeners.local_addrs()[0]).await.unwrap();

    // The helper is another process, as this one has no descriptors left to start it.
    let process = std::process::id();
    let script = format!(
        "prlimit --pid {process} --nofile=3: && echo low && read _ && prlimit --pid {process} \
         --nofile=1024: && echo high"
    );
    let mut helper = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "low");

    let waits = timeout(Duration::from_millis(200), listeners.accept()).await;
    assert!(waits.is_err(), "expected no connection without a file descriptor, found one");

    writeln!(helper.stdin.take().unwrap()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "high");
    let (_, peer) = listeners.accept().await;
    assert_eq!(peer.to_string(), client.local_addr().unwrap().to_string());
    assert!(helper.wait().unwrap().success());
}
