//! Looks up the owner of a connection on macOS, in the kernel's table of all sockets.

use super::{Owner, pcblist, sysctl};
use std::io;
use std::net::SocketAddr;

/// Reads the kernel's table of all sockets for each lookup.
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
    let mut table = vec![0; INITIAL_SIZE];
    loop {
        match sysctl::query(c"net.inet.tcp.pcblist_n", &[], &mut table) {
            Ok(length) => {
                table.truncate(length);
                return Ok(table);
            }
            // The table does not fit.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && table.len() < MAX_SIZE => {
                table.resize(table.len() * 2, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The first size of the buffer, in bytes: room for some hundred sockets.
const INITIAL_SIZE: usize = 256 * 1024;

/// The maximum size of the buffer, in bytes: room for more sockets than there can be.
const MAX_SIZE: usize = 256 * 1024 * 1024;
