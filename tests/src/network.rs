//! Network conditions: a private `/etc/hosts` for a process, and addresses that never respond.

use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
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
    listener: Socket,
    _queued: Vec<TcpStream>,
}

impl UnresponsiveAddress {
    /// Listens at this address and port; port 0 means a free one.
    pub fn at(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let queued = std::iter::from_fn(|| connect().ok()).collect();
        Self { listener, _queued: queued }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}
