use super::{ClientAddr, LocalAddr, Owner};
use std::fmt;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody at an address.
    Tcp {
        /// Theirs.
        client: ClientAddr,
        /// Ours.
        local: LocalAddr,
    },
    /// Somebody on this machine: whoever it was when they connected, by the kernel's account.
    Unix(Owner),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { client, .. } => client.fmt(f),
            Self::Unix(_) => f.write_str("the Unix socket"),
        }
    }
}
