//! The addresses of both ends of a TCP connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of the peer. It is an IPv4 address if the connection uses IPv4, although a socket for both
/// versions reports `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(SocketAddr);

/// The local address of a connection, in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddr(SocketAddr);

impl ClientAddr {
    /// The IP address without the port.
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The address as a standard library type.
    pub fn as_socket_addr(&self) -> SocketAddr {
        self.0
    }
}

impl LocalAddr {
    /// The address as a standard library type.
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
