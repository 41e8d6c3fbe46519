//! The owner of a connection on Windows, from its table of TCP connections.

use super::{Owner, tcp_table};
use crate::os::peer::windows_api::{Process, tcp_tables};
use std::io;
use std::net::SocketAddr;

/// The system's tables of all sockets, read anew each time, and the users of their processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup;

impl Lookup {
    pub(super) fn new() -> io::Result<Self> {
        tcp_tables().map(|_| Self)
    }

    pub(super) async fn find(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        tokio::task::spawn_blocking(move || find(peer, local)).await?
    }
}

fn find(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    match process_of(peer, local)? {
        None => Ok(Owner::NotVisible),
        Some(0) => Ok(Owner::NoProcess),
        Some(number) => {
            let process = Process::open(number)?;
            // Until it was opened, its number could have become another one's.
            if process_of(peer, local)? != Some(number) {
                return Ok(Owner::NoProcess);
            }
            process.user().map(Owner::User)
        }
    }
}

fn process_of(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<u32>> {
    let [ipv4, ipv6] = tcp_tables()?;
    Ok(tcp_table::find(&ipv4, &ipv6, peer, local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::peer::windows_api::current_user;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    /// IPv4 alone, and after something was sent: of others wine does not tell whose they are.
    #[test]
    fn finds_who_this_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(local).unwrap();
        stream.write_all(b"x").unwrap();
        let peer = stream.local_addr().unwrap();
        assert_eq!(find(peer, local).unwrap(), Owner::User(current_user().unwrap()));
        let other = SocketAddr::new(peer.ip(), 1);
        assert_eq!(find(other, local).unwrap(), Owner::NotVisible);
        drop(stream);
        assert_eq!(find(peer, local).unwrap(), Owner::NoProcess);
    }
}
