//! Platforms on which the owner of a connection cannot be looked up.

use super::Owner;
use std::io;
use std::net::SocketAddr;

/// Cannot be created (docs/compatibility.md, A3).
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {}

impl Lookup {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn find(self, _peer: SocketAddr, _local: SocketAddr) -> io::Result<Owner> {
        match self {}
    }
}
