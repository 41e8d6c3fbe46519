//! Looks up the owner of a connection on Linux, by sock_diag or, if it is not available, in `/proc/net`.

use super::{Owner, UserId, proc_net, sock_diag};
use nix::net::if_::if_nameindex;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// The two ways to look up an owner on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Queries the kernel for one socket. This takes microseconds, regardless of the number of sockets.
    SockDiag,
    /// Reads the kernel's tables of all sockets. This is for systems without sock_diag, which needs the
    /// module `tcp_diag`, and AF_NETLINK sockets, which systemd's RestrictAddressFamilies= or a seccomp
    /// filter may forbid.
    Tables,
}

impl Lookup {
    pub(super) fn new() -> io::Result<Self> {
        match Self::SockDiag.finds_own_connection() {
            Ok(true) => Ok(Self::SockDiag),
            found => {
                let reason = match found {
                    Err(error) => error.to_string(),
                    Ok(_) => "it does not find a connection of this process".to_owned(),
                };
                tracing::debug!("no sock_diag ({reason}): owners are looked up in /proc/net/tcp");
                proc_net::read_tables().map(|_| Self::Tables)
            }
        }
    }

    /// Whether this finds the owner of a connection of this process. A kernel without the module, or an
    /// emulation of Linux, may respond that there is no such connection.
    fn finds_own_connection(self) -> io::Result<bool> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let found = self.find_blocking(client.local_addr()?, client.peer_addr()?)?;
        Ok(found == Owner::User(UserId::current()?))
    }

    pub(super) async fn find(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        match self {
            Self::SockDiag => self.find_blocking(peer, local),
            // The kernel traverses its whole table of connections, which takes milliseconds.
            Self::Tables => {
                tokio::task::spawn_blocking(move || self.find_blocking(peer, local)).await?
            }
        }
    }

    fn find_blocking(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        match self {
            Self::SockDiag => query(peer, local),
            // The tables are read in several parts, so a row can be missed if others are removed
            // meanwhile: a second attempt finds it.
            Self::Tables => match proc_net::find_owner(&proc_net::read_tables()?, peer, local) {
                Owner::NotVisible => {
                    Ok(proc_net::find_owner(&proc_net::read_tables()?, peer, local))
                }
                found => Ok(found),
            },
        }
    }
}

/// Any user can bind a socket to an interface. Such a socket is only found by a query for that interface.
fn query(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let mut found = sock_diag::find(peer, local, scope_of(peer))?;
    if found == Owner::NotVisible && super::is_own_address(peer) {
        for interface in &if_nameindex()? {
            let on_interface = sock_diag::find(peer, local, interface.index())?;
            found = match found {
                Owner::NotVisible => on_interface,
                // Sockets that are bound to different interfaces can have the same addresses.
                _ if on_interface != Owner::NotVisible && on_interface != found => Owner::NoProcess,
                found => found,
            };
        }
    }
    Ok(found)
}

/// The interface of a link-local address; 0 for other addresses.
fn scope_of(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::peer::Peer;
    use nix::unistd::geteuid;
    use socket2::{Domain, Protocol, Socket, Type};
    use std::time::Duration;

    const BOTH: [Lookup; 2] = [Lookup::SockDiag, Lookup::Tables];

    fn listener(address: &str) -> TcpListener {
        TcpListener::bind(address).unwrap()
    }

    /// The canonical form of an address, as for accepted connections.
    fn canonical(mut address: SocketAddr) -> SocketAddr {
        address.set_ip(address.ip().to_canonical());
        address
    }

    fn found(lookup: Lookup, stream: &TcpStream) -> Owner {
        let (peer, local) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        lookup.find_blocking(canonical(peer), canonical(local)).unwrap()
    }

    fn me() -> Owner {
        Owner::User(UserId::Uid(geteuid().as_raw()))
    }

    #[test]
    fn both_find_the_user_of_this_process() {
        for (listens, connects) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
            ("[::]:0", "::1"),
            ("127.0.0.1:0", "::ffff:127.0.0.1"),
            ("[::]:0", "::ffff:127.0.0.1"),
        ] {
            let listener = listener(listens);
            let port = listener.local_addr().unwrap().port();
            let stream = TcpStream::connect((connects, port)).unwrap();
            for lookup in BOTH {
                assert_eq!(found(lookup, &stream), me(), "{lookup:?} {connects} at {listens}");
                assert!(lookup.finds_own_connection().unwrap());
            }
        }
    }

    #[test]
    fn a_socket_that_does_not_exist_is_not_found() {
        let listener = listener("127.0.0.1:0");
        let bound = listener.local_addr().unwrap();
        let stream = TcpStream::connect(bound).unwrap();
        let client = stream.local_addr().unwrap();
        let other = SocketAddr::new(bound.ip(), 1);
        for lookup in BOTH {
            let find = |peer, local| lookup.find_blocking(peer, local).unwrap();
            assert_eq!(find(other, bound), Owner::NotVisible, "{lookup:?}: another port");
            // The socket is connected to another address. Only the tables show that, sock_diag does not.
            assert_ne!(find(client, other), me(), "{lookup:?}");
            // A listening socket is not connected.
            assert_ne!(find(bound, other), me(), "{lookup:?}: a listener");
        }
    }

    #[test]
    fn a_closed_socket_has_no_owner() {
        let listener = listener("127.0.0.1:0");
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, client) = listener.accept().unwrap();
        drop(stream);
        for lookup in BOTH {
            let local = server.local_addr().unwrap();
            assert_eq!(
                lookup.find_blocking(client, local).unwrap(),
                Owner::NoProcess,
                "{lookup:?}"
            );
        }
    }

    #[test]
    fn a_socket_that_is_bound_to_an_interface_is_found() {
        let listener = listener("127.0.0.1:0");
        let bound = listener.local_addr().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind_device(Some(b"lo")).unwrap();
        socket.connect(&bound.into()).unwrap();
        let stream = TcpStream::from(socket);
        for lookup in BOTH {
            assert_eq!(found(lookup, &stream), me(), "{lookup:?}");
        }
        let (peer, local) = (stream.local_addr().unwrap(), bound);
        assert_eq!(sock_diag::find(peer, local, 0).unwrap(), Owner::NotVisible);
    }

    /// A reset removes the socket, and with it the owner.
    #[tokio::test]
    async fn a_connection_that_was_reset_has_no_owner() {
        for lookup in BOTH {
            let listener = listener("127.0.0.1:0");
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, client) = listener.accept().unwrap();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(stream);
            let local = server.local_addr().unwrap();
            let lookup = super::super::OwnerLookup(lookup);
            let peer = Peer::Tcp { client: client.into(), local: local.into() };
            let owner = lookup.find(&peer).await.unwrap();
            assert_eq!(owner, Owner::NoProcess, "{lookup:?}");
        }
    }
}
