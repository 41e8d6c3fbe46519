//! The owner of a connection on Linux: sock_diag, or `/proc/net` where that is not to be had.

use super::{Owner, UserId, proc_net, sock_diag};
use nix::net::if_::if_nameindex;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// The two ways of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The kernel is asked for the one socket: microseconds, however many there are.
    SockDiag,
    /// The kernel's tables of all sockets, where it does not take such questions: they need the
    /// module `tcp_diag` and sockets of AF_NETLINK, which systemd's RestrictAddressFamilies= or a
    /// seccomp filter may forbid.
    Tables,
}

impl Lookup {
    pub(super) fn new() -> io::Result<Self> {
        match Self::SockDiag.is_right() {
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

    /// Whether it finds the owner of a connection of this process. A kernel without the module, or
    /// an imitation of Linux, may respond that there is no such connection.
    fn is_right(self) -> io::Result<bool> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let found = self.find_blocking(client.local_addr()?, client.peer_addr()?)?;
        Ok(found == Owner::User(UserId::current()?))
    }

    pub(super) async fn find(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        match self {
            Self::SockDiag => self.find_blocking(peer, local),
            // The kernel walks its whole table of connections for it, which takes milliseconds.
            Self::Tables => {
                tokio::task::spawn_blocking(move || self.find_blocking(peer, local)).await?
            }
        }
    }

    fn find_blocking(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        match self {
            Self::SockDiag => ask(peer, local),
            // The kernel hands the tables out in pieces; a row can be missed between two of them
            // when others go away at that moment.
            Self::Tables => match proc_net::find_owner(&proc_net::read_tables()?, peer, local) {
                Owner::NotVisible => {
                    Ok(proc_net::find_owner(&proc_net::read_tables()?, peer, local))
                }
                found => Ok(found),
            },
        }
    }
}

/// A socket that is bound to an interface, as any user may do, is found only by asking for it
/// there.
fn ask(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let mut found = sock_diag::find(peer, local, scope_of(peer))?;
    if found == Owner::NotVisible && super::is_own_address(peer) {
        for interface in &if_nameindex()? {
            let there = sock_diag::find(peer, local, interface.index())?;
            found = match found {
                Owner::NotVisible => there,
                // Sockets bound to different interfaces can share both ends.
                _ if there != Owner::NotVisible && there != found => Owner::NoProcess,
                found => found,
            };
        }
    }
    Ok(found)
}

/// The interface that a link-local address belongs to; 0 for others.
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

    /// As the server sees it: canonical.
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
    fn both_find_who_this_is() {
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
                assert!(lookup.is_right().unwrap());
            }
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let listener = listener("127.0.0.1:0");
        let bound = listener.local_addr().unwrap();
        let stream = TcpStream::connect(bound).unwrap();
        let client = stream.local_addr().unwrap();
        let other = SocketAddr::new(bound.ip(), 1);
        for lookup in BOTH {
            let find = |peer, local| lookup.find_blocking(peer, local).unwrap();
            assert_eq!(find(other, bound), Owner::NotVisible, "{lookup:?}: another port");
            // It is connected to another address. The tables show that; sock_diag does not.
            assert_ne!(find(client, other), me(), "{lookup:?}");
            // A socket that listens is not connected.
            assert_ne!(find(bound, other), me(), "{lookup:?}: a listener");
        }
    }

    #[test]
    fn what_nobody_has_open_is_nobodys() {
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
    fn one_that_is_bound_to_an_interface() {
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

    /// A reset leaves no socket behind that would tell whose it was.
    #[tokio::test]
    async fn one_that_was_reset_is_nobodys() {
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
