//! Looks up the owner of a connection: the user of the process at its other end. The result is not cached,
//! because ports are reused.

// The parsers for other systems are tested on all systems.
#[cfg(test)]
mod captured;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(any(target_os = "macos", test))]
mod pcblist;
#[cfg(target_os = "linux")]
mod proc_net;
#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg(target_os = "macos")]
mod sysctl;
#[cfg(any(windows, test))]
mod tcp_table;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod unsupported;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use unsupported as system;
#[cfg(windows)]
use windows as system;

#[cfg(target_os = "linux")]
pub use proc_net::find_owner;

use super::{Peer, UserId};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// What to check if owners cannot be looked up.
pub(crate) const HINT: &str = match () {
    () if cfg!(target_os = "linux") => "check that /proc is mounted",
    () => "check that this user may see the connections of other users",
};

/// The owner of a peer's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The socket belongs to this user.
    User(UserId),
    /// The socket is or was in this network namespace, but no process owns it: its process closed it, or
    /// the socket is now connected to another address.
    NoProcess,
    /// There is no such socket in this network namespace, and the peer's address does not belong to it.
    NotVisible,
}

/// Looks owners up in the way that this system supports.
#[derive(Clone, Copy, Debug)]
pub struct OwnerLookup(system::Lookup);

impl OwnerLookup {
    /// Determines how owners can be looked up.
    ///
    /// # Errors
    ///
    /// The platform does not support it ([`io::ErrorKind::Unsupported`]), or does not permit it.
    pub fn new() -> io::Result<Self> {
        system::Lookup::new().map(Self)
    }

    /// Looks up the owner of `peer`'s socket.
    ///
    /// # Errors
    ///
    /// The lookup failed.
    pub async fn find(self, peer: &Peer) -> io::Result<Owner> {
        let (peer, local) = match peer {
            Peer::Tcp { client, local } => (client.as_socket_addr(), local.as_socket_addr()),
            Peer::Unix(owner) => return Ok(owner.clone()),
        };
        match self.0.find(peer, local).await? {
            // Any user can remove a socket by a reset while its request is still to be read, or hide it in
            // other ways. Such a peer must not be mistaken for a container.
            Owner::NotVisible if is_own_address(peer) => Ok(Owner::NoProcess),
            owner => Ok(owner),
        }
    }
}

/// Whether `peer`'s address belongs to this network namespace, so that its socket is in it as well. A socket
/// can only be bound to an address of its namespace, unless the administrator permits others
/// (net.ipv4.ip_nonlocal_bind); then this is always true, and no peer is taken for a container.
fn is_own_address(mut peer: SocketAddr) -> bool {
    peer.set_port(0);
    match UdpSocket::bind(peer) {
        Ok(_) => true,
        // After other errors assume that it does: then the peer is not taken for a container.
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Compares address and port. Not `==`, because systems do not report the scope and the flow label of IPv6
/// addresses.
#[cfg(any(target_os = "linux", target_os = "macos", windows, test))]
fn same_address(one: SocketAddr, two: SocketAddr) -> bool {
    one.ip() == two.ip() && one.port() == two.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses() {
        for (address, expected) in [
            ("127.0.0.1:80", true),
            ("127.1.2.3:80", true),
            ("[::1]:80", true),
            ("192.0.2.1:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            assert_eq!(is_own_address(address.parse().unwrap()), expected, "{address}");
        }
    }
}
