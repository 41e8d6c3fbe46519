//! Network conditions: a private `/etc/hosts` for a process, and addresses that never respond.

use crate::ClosedPort;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The start of a command line; the command that follows runs with this file as `/etc/hosts`. Needs root.
pub fn with_hosts(file: &Path) -> [String; 5] {
    let script = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", file.display());
    ["unshare", "--mount", "bash", "-c", &script].map(str::to_owned)
}

/// An address at which SYNs get no response: a listener whose queue is full. Only on Linux; elsewhere
/// such connections are refused.
#[derive(Debug)]
pub struct UnresponsiveAddress {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl UnresponsiveAddress {
    /// Listens on this port.
    pub fn at(port: ClosedPort) -> Self {
        let address = port.address();
        let listener = port.listen(1);
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let queued = std::iter::from_fn(|| connect().ok()).collect();
        Self { address, _listener: listener, _queued: queued }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
