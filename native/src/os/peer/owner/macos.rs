//! The owner of a connection on macOS, from the kernel's table of all sockets.

use super::{Owner, pcblist, sysctl};
use std::io;
use std::net::SocketAddr;

/// The kernel's table of all sockets, read anew each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup;

impl Lookup {
    pub(super) fn new() -> io::Result<Self> {
        read_table().map(|_| Self)
    }

    pub(super) async fn find(self, peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
        tokio::task::spawn_blocking(move || Ok(pcblist::find(&read_table()?, peer, local))).await?
    }
}

fn read_table() -> io::Result<Vec<u8>> {
    let mut table = vec![0; FIRST];
    loop {
        match sysctl::ask(c"net.inet.tcp.pcblist_n", &[], &mut table) {
            Ok(length) => {
                table.truncate(length);
                return Ok(table);
            }
            // It does not fit.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && table.len() < MOST => {
                table.resize(table.len() * 2, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Room for some hundred sockets, in bytes.
const FIRST: usize = 256 * 1024;

/// Room for more sockets than there can be.
const MOST: usize = 256 * 1024 * 1024;
