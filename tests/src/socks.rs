//! A SOCKS5 proxy.

use crate::users::can_switch_users;
use crate::{ClosedPort, DEADLINE, Folder, skip, with_hosts};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// microsocks, a SOCKS5 proxy, with its own `/etc/hosts`.
#[derive(Debug)]
pub struct Socks {
    child: Child,
    address: SocketAddr,
    _hosts: Folder,
}

impl Socks {
    /// Starts one that resolves `host` to 127.0.0.1 and requires this user and password, if given.
    /// `None` if it cannot run on this machine, which is reported.
    pub fn start(host: &str, login: Option<[&str; 2]>) -> Option<Self> {
        if !can_switch_users(&[["unshare", "--version"]]) {
            return None;
        }
        // It has no option with which it exits with status 0: only a failure to start is telling.
        if Command::new("microsocks").arg("-h").output().is_err() {
            skip("microsocks is not installed: run tests/run, which does that");
            return None;
        }
        let folder = Folder::new();
        let hosts = folder.put("hosts", format!("127.0.0.1 {host}\n"));
        let address = ClosedPort::take().address();
        let [unshare, arguments @ ..] = with_hosts(&hosts);
        let mut command = Command::new(unshare);
        command.args(arguments).args(["microsocks", "-i", "127.0.0.1"]);
        command.args(["-p", &address.port().to_string()]);
        if let Some([user, password]) = login {
            command.args(["-u", user, "-P", password]);
        }
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut socks =
            Self { child: child.expect("microsocks is installed"), address, _hosts: folder };
        socks.wait_until_it_listens();
        Some(socks)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Polls, as it does not report that it listens.
    fn wait_until_it_listens(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert_eq!(ended, None, "microsocks ended");
            assert!(start.elapsed() < DEADLINE, "microsocks does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Socks {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
