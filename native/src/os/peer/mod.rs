//! Who is at the other end of a connection.

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

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A peer at an address.
    Tcp {
        /// The peer's address.
        client: ClientAddr,
        /// The address of this end.
        local: LocalAddr,
    },
    /// A process on this machine: its user when it connected, by the kernel.
    Unix(Owner),
}

impl Peer {
    /// The address that it connected to, if it is a TCP connection.
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
