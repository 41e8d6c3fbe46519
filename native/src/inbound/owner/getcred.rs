//! FreeBSD's answer about one connection: tcp_getcred of its sys/netinet/tcp_subr.c, and `struct
//! xucred` of sys/ucred.h (as of commit 00036dad647f of freebsd/freebsd-src). Not run on FreeBSD yet:
//! its layouts are tested here, and that it compiles.

use super::{Owner, UserId};
use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;

/// The name of the question about a connection of this peer.
pub(super) fn name(peer: SocketAddr) -> &'static CStr {
    if peer.is_ipv4() { c"net.inet.tcp.getcred" } else { c"net.inet6.tcp6.getcred" }
}

/// Two `struct sockaddr_in` or `sockaddr_in6`: the end that the socket in question is bound to, and
/// the one that it is connected to.
pub(super) fn question(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    [address(peer), address(local)].concat()
}

fn address(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(address) => {
            [&[16, AF_INET], port.as_slice(), &address.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(address) => {
            let (ip, scope) = (address.ip().octets(), address.scope_id().to_ne_bytes());
            [&[28, AF_INET6], port.as_slice(), &[0; 4], &ip, &scope].concat()
        }
    }
}

/// A `struct xucred`, or the error that came instead.
pub(super) fn read(answer: io::Result<&[u8]>) -> io::Result<Owner> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owner::NotVisible),
        Err(error) => return Err(error),
    };
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    match (word(0), word(4)) {
        (Some(XUCRED_VERSION), Some(uid)) => Ok(Owner::User(UserId::Uid(uid))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "malformed answer of getcred")),
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 28;
const XUCRED_VERSION: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_two_addresses() {
        let (peer, local) = ("127.0.0.1:4660".parse().unwrap(), "127.0.0.2:80".parse().unwrap());
        let expected: [u8; 32] = [
            16, 2, 0x12, 0x34, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, //
            16, 2, 0, 80, 127, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(question(peer, local), expected);
        assert_eq!(name(peer), c"net.inet.tcp.getcred");
        let peer = "[fe80::1%3]:4660".parse().unwrap();
        let bytes = question(peer, "[::1]:80".parse().unwrap());
        assert_eq!(bytes.len(), 56);
        assert_eq!(bytes[..4], [28, 28, 0x12, 0x34]);
        assert_eq!(bytes[8..12], [0xfe, 0x80, 0, 0]);
        assert_eq!(bytes[24..28], 3_u32.to_ne_bytes());
        assert_eq!(bytes[28..32], [28, 28, 0, 80]);
        assert_eq!(name(peer), c"net.inet6.tcp6.getcred");
    }

    #[test]
    fn answers() {
        let xucred = |version: u32, uid: u32| {
            [version.to_ne_bytes().as_slice(), &uid.to_ne_bytes(), &[0; 80]].concat()
        };
        let told = |bytes: &[u8]| read(Ok(bytes));
        assert_eq!(told(&xucred(0, 1001)).unwrap(), Owner::User(UserId::Uid(1001)));
        assert_eq!(told(&xucred(0, 0)).unwrap(), Owner::User(UserId::Uid(0)));
        assert!(told(&xucred(1, 0)).is_err());
        for length in 0..8 {
            assert!(told(&xucred(0, 0)[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(read(Err(io::ErrorKind::NotFound.into())).unwrap(), Owner::NotVisible);
        assert!(read(Err(io::ErrorKind::PermissionDenied.into())).is_err());
    }
}
