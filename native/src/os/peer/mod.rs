//! The peer of a connection: its address, or its user.

mod address;
mod owner;
#[cfg(any(windows, test))]
mod sid;
mod user;
#[cfg(windows)]
mod windows_api;

pub use address::{ClientAddr, LocalAddr};
pub(crate) use owner::HINT;
#[cfg(target_os = "linux")]
pub use owner::find_owner;
pub use owner::{Owner, OwnerLookup};
pub use user::UserId;

use std::fmt;
use std::net::IpAddr;

/// The process at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A peer over TCP.
    Tcp {
        /// The peer's address.
        client: ClientAddr,
        /// The local address.
        local: LocalAddr,
    },
    /// A peer over a Unix socket: its user when it connected, as the kernel reports it.
    Unix(Owner),
}

impl Peer {
    /// The local address to which the peer connected, if over TCP.
    pub fn bound(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { local, .. } => Some(local.as_socket_addr().ip()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { client, .. } => client.fmt(f),
            Self::Unix(_) => f.write_str("the Unix socket"),
        }
    }
}
