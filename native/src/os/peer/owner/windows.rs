//! Looks up the owner of a connection on Windows, in its tables of TCP connections.

use super::{Owner, tcp_table};
use crate::os::peer::windows_api::{Process, tcp_tables};
use std::io;
use std::net::SocketAddr;

/// Reads the system's tables of all sockets for each lookup, and the user of the process.
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
        Some(id) => {
            let process = Process::open(id)?;
            // Before the process was opened, its id may have been reused.
            if process_of(peer, local)? != Some(id) {
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

    /// Only IPv4, and after something was sent: wine does not report the process of other connections.
    #[test]
    fn finds_the_user_of_this_process() {
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
