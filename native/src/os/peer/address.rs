//! The addresses of both ends of a TCP connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of the peer: IPv4 if the connection is over IPv4, although a socket for
/// both shows such addresses as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(SocketAddr);

/// This end of a connection, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddr(SocketAddr);

impl ClientAddr {
    /// The IP address alone.
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// As the standard library has it.
    pub fn as_socket_addr(&self) -> SocketAddr {
        self.0
    }
}

impl LocalAddr {
    /// As the standard library has it.
    pub fn as_socket_addr(&self) -> SocketAddr {
        self.0
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(address: SocketAddr) -> Self {
        Self(canonical(address))
    }
}

impl From<SocketAddr> for LocalAddr {
    fn from(address: SocketAddr) -> Self {
        Self(canonical(address))
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn canonical(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(address.ip().to_canonical());
    address
}
