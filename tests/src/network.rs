//! Networks as tests need them: a table of hosts of its own for a process, and addresses that swallow
//! connections.

use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The start of a command line that runs what follows with this file as `/etc/hosts`. It needs root.
pub fn with_hosts(file: &Path) -> [String; 5] {
    let script = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", file.display());
    ["unshare", "--mount", "bash", "-c", &script].map(str::to_owned)
}

/// An address at which SYNs get no response: a listener whose queue is full. On Linux alone; elsewhere
/// such connections are refused.
#[derive(Debug)]
pub struct UnresponsiveAddress {
    listener: Socket,
    _queued: Vec<TcpStream>,
}

impl UnresponsiveAddress {
    /// At this address and port; port 0: a free one.
    pub fn at(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let queued = std::iter::from_fn(|| connect().ok()).collect();
        Self { listener, _queued: queued }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}
