//! The owner of a connection: the user of the process at its other end. Looked up anew for each
//! connection, as ports are reused.

// What parses the responses of other systems is tested on all.
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

/// What to check when owners cannot be looked up.
pub(crate) const HINT: &str = match () {
    () if cfg!(target_os = "linux") => "is /proc mounted?",
    () => "may this user see the connections of others?",
};

/// The owner of a peer's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This user.
    User(UserId),
    /// It is, or was, a socket of this network namespace, but no process owns it: its process
    /// closed it, or the socket is connected to something else.
    NoProcess,
    /// There is no such socket in this network namespace, and the peer's address is not one of it.
    NotVisible,
}

/// Looks owners up, the way this machine allows.
#[derive(Clone, Copy, Debug)]
pub struct OwnerLookup(system::Lookup);

impl OwnerLookup {
    /// Finds the way.
    ///
    /// # Errors
    ///
    /// There is none: the platform lacks it ([`io::ErrorKind::Unsupported`]), or does not let
    /// this process use it.
    pub fn new() -> io::Result<Self> {
        system::Lookup::new().map(Self)
    }

    /// Looks up the owner of `peer`'s socket.
    ///
    /// # Errors
    ///
    /// The system cannot tell.
    pub async fn find(self, peer: &Peer) -> io::Result<Owner> {
        let (peer, local) = match peer {
            Peer::Tcp { client, local } => (client.as_socket_addr(), local.as_socket_addr()),
            Peer::Unix(owner) => return Ok(owner.clone()),
        };
        match self.0.find(peer, local).await? {
            // Any user can make a socket vanish by a reset, with a request still to be read here,
            // or hide it in other ways, and must not pass for a container by that.
            Owner::NotVisible if is_own_address(peer) => Ok(Owner::NoProcess),
            owner => Ok(owner),
        }
    }
}

/// Whether `peer`'s address is one of this network namespace, so that its socket is there as well:
/// nothing can be bound to addresses of others, unless the administrator says so
/// (net.ipv4.ip_nonlocal_bind), and then no peer is taken for a container.
fn is_own_address(mut peer: SocketAddr) -> bool {
    peer.set_port(0);
    match UdpSocket::bind(peer) {
        Ok(_) => true,
        // If in doubt, the peer is not trusted.
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Not by `==`: scope and flow of an IPv6 address are not among what systems tell of both ends.
#[cfg(any(target_os = "linux", target_os = "macos", windows, test))]
fn same_end(one: SocketAddr, two: SocketAddr) -> bool {
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
