//! Queries the kernel for the owner of one socket (sock_diag(7)).

use super::{Owner, UserId, same_address};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Finds the owner of the TCP socket that is bound to `peer` and connected to `local`, and that is bound to
/// `interface` or to no interface. Both addresses are canonical, never IPv4-mapped.
///
/// # Errors
///
/// The kernel does not accept such queries.
pub(super) fn find(peer: SocketAddr, local: SocketAddr, interface: u32) -> io::Result<Owner> {
    let mut socket =
        Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(SOCK_DIAG)))?;
    // The kernel responds before `send` returns; the timeout is only a precaution.
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.send(&query(peer, local, interface))?;
    let mut response = [0; 512];
    let length = socket.read(&mut response)?;
    read(response.get(..length).unwrap_or_default(), peer, local)
}

/// Writes a `struct nlmsghdr` and a `struct inet_diag_req_v2`. The kernel calls the address to which the
/// socket is bound its source.
fn query(peer: SocketAddr, local: SocketAddr, interface: u32) -> Vec<u8> {
    let family = if peer.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut bytes = Vec::with_capacity(QUERY);
    bytes.extend((QUERY as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]); // port id: 0 is the kernel
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // any state
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(padded(peer.ip()));
    bytes.extend(padded(local.ip()));
    bytes.extend(interface.to_ne_bytes());
    bytes.extend([0xff; 8]); // any cookie
    bytes
}

fn padded(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Parses a `struct nlmsghdr` and either a `struct nlmsgerr` or a `struct inet_diag_msg`.
fn read(response: &[u8], peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let fields = Fields(response);
    let malformed =
        || io::Error::new(io::ErrorKind::InvalidData, "malformed response of sock_diag");
    if fields.u32(8) != Some(SEQUENCE) {
        return Err(malformed());
    }
    match fields.u16(4) {
        Some(NLMSG_ERROR) => match fields.u32(16).map(|code| code.wrapping_neg() as i32) {
            Some(ENOENT) => Ok(Owner::NotVisible),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Err(malformed()),
        },
        Some(SOCK_DIAG_BY_FAMILY) => owner(&fields, peer, local).ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

fn owner(fields: &Fields<'_>, peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    let [family, state] = fields.array(16)?;
    let source = SocketAddr::new(fields.ip(family, 24)?, u16::from_be_bytes(fields.array(20)?));
    let target = SocketAddr::new(fields.ip(family, 40)?, u16::from_be_bytes(fields.array(22)?));
    let (uid, inode) = (fields.u32(80)?, fields.u32(84)?);
    // If there is no connected socket, the kernel responds with a listening one.
    if !same_address(source, peer) || !same_address(target, local) {
        return Some(Owner::NotVisible);
    }
    // A socket without an inode has no process (it was closed, or is in TIME_WAIT), and its uid may be 0
    // regardless of its previous owner. A socket that is still connecting (SYN_SENT) is not the peer, which
    // is connected: it belongs to another process that is just trying the same port.
    Some(if inode != 0 && CONNECTED.contains(&state) {
        Owner::User(UserId::Uid(uid))
    } else {
        Owner::NoProcess
    })
}

/// Reads numbers at offsets.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_ne_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_ne_bytes)
    }

    fn ip(&self, family: u8, at: usize) -> Option<IpAddr> {
        match family {
            AF_INET => self.array::<4>(at).map(IpAddr::from),
            AF_INET6 => self.array::<16>(at).map(|ip| IpAddr::from(ip).to_canonical()),
            _ => None,
        }
    }
}

const AF_NETLINK: i32 = 16;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const SOCK_DIAG: i32 = 4;
const IPPROTO_TCP: u8 = 6;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;

/// There is one query a socket.
const SEQUENCE: u32 = 1;

/// In bytes.
const QUERY: usize = 72;

/// ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: a connection was made.
const CONNECTED: [u8; 6] = [1, 4, 5, 8, 9, 11];

#[cfg(test)]
mod tests {
    use super::super::captured::{addresses, bytes, captured};
    use super::*;

    /// The kernel's response about an established connection from 127.0.0.1:4660 to 127.0.0.1:80.
    fn response(uid: u32, inode: u32) -> Vec<u8> {
        let mut bytes = vec![0; 88];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &88_u32.to_ne_bytes());
        put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        put(8, &SEQUENCE.to_ne_bytes());
        put(16, &[AF_INET, 1]);
        put(20, &[0x12, 0x34, 0, 80, 127, 0, 0, 1]);
        put(40, &[127, 0, 0, 1]);
        put(80, &uid.to_ne_bytes());
        put(84, &inode.to_ne_bytes());
        bytes
    }

    fn with(mut bytes: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
        bytes[at..at + field.len()].copy_from_slice(field);
        bytes
    }

    fn parsed(response: &[u8]) -> io::Result<Owner> {
        read(response, "127.0.0.1:4660".parse().unwrap(), "127.0.0.1:80".parse().unwrap())
    }

    #[test]
    fn the_query_has_the_kernels_layout() {
        let bytes = query("[2001:db8::1]:4660".parse().unwrap(), "[::2]:80".parse().unwrap(), 7);
        assert_eq!(bytes.len(), QUERY);
        assert_eq!(bytes[16..20], [AF_INET6, IPPROTO_TCP, 0, 0]);
        assert_eq!(bytes[24..28], [0x12, 0x34, 0, 80]);
        assert_eq!(bytes[28..32], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(bytes[44..60], "::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(bytes[60..64], 7_u32.to_ne_bytes());
        let bytes = query("127.0.0.1:1".parse().unwrap(), "127.0.0.2:2".parse().unwrap(), 0);
        assert_eq!((bytes.len(), bytes[16]), (QUERY, AF_INET));
        assert_eq!(bytes[28..36], [127, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn responses() {
        let mapped: Vec<u8> = [[0; 10].as_slice(), &[0xff, 0xff, 127, 0, 0, 1]].concat();
        let dual = with(with(response(7, 1), 24, &mapped), 40, &mapped);
        for (bytes, expected) in [
            (response(7, 1), Owner::User(UserId::Uid(7))),
            (response(0, 1), Owner::User(UserId::Uid(0))),
            (with(dual, 16, &[AF_INET6]), Owner::User(UserId::Uid(7))),
            (response(0, 0), Owner::NoProcess),
            // SYN_SENT, TIME_WAIT, SYN_RECV.
            (with(response(7, 1), 17, &[2]), Owner::NoProcess),
            (with(response(7, 1), 17, &[6]), Owner::NoProcess),
            (with(response(7, 1), 17, &[3]), Owner::NoProcess),
            // Other addresses; a listening socket has no remote address.
            (with(response(7, 1), 40, &[0; 4]), Owner::NotVisible),
            (with(response(7, 1), 23, &[81]), Owner::NotVisible),
            (with(response(7, 1), 21, &[0]), Owner::NotVisible),
            (with(response(7, 1), 24, &[10]), Owner::NotVisible),
            (error(ENOENT), Owner::NotVisible),
        ] {
            assert_eq!(parsed(&bytes).unwrap(), expected, "{bytes:?}");
        }
    }

    fn error(code: i32) -> Vec<u8> {
        let bytes = with(response(0, 0), 4, &NLMSG_ERROR.to_ne_bytes());
        with(bytes, 16, &(-code).to_ne_bytes())
    }

    #[test]
    fn a_malformed_response_is_an_error() {
        const EPERM: i32 = 1;
        assert_eq!(parsed(&error(EPERM)).unwrap_err().raw_os_error(), Some(EPERM));
        for length in 0..88 {
            assert!(parsed(&response(7, 1)[..length]).is_err(), "{length} bytes");
        }
        for bytes in [
            with(response(7, 1), 8, &[0; 4]),
            with(response(7, 1), 4, &[0; 2]),
            with(response(7, 1), 16, &[1]),
        ] {
            assert!(parsed(&bytes).is_err(), "{bytes:?}");
        }
        for length in 0..20 {
            assert!(parsed(&error(ENOENT)[..length]).is_err(), "{length} bytes");
        }
    }

    /// Captured from a kernel: fixtures/README.md.
    #[test]
    #[cfg(target_endian = "little")]
    fn captured_responses() {
        let responses = captured(include_str!("../../../../../fixtures/sock-diag.json"));
        for case in responses.as_array().unwrap() {
            let expected = match &case["owner"] {
                owner if owner == "gone" => Owner::NoProcess,
                owner if owner == "not visible" => Owner::NotVisible,
                owner => Owner::User(UserId::Uid(owner.as_u64().unwrap() as u32)),
            };
            let (peer, local) = addresses(case);
            let found = read(&bytes(&case["response"]), peer, local).unwrap();
            assert_eq!(found, expected, "{}", case["note"]);
        }
    }
}
