//! Parses macOS' table of all TCP sockets: `struct xinpcb_n` and `xsocket_n` of netinet/in_pcb.h and
//! sys/socketvar.h, packed to 4 bytes, as in_pcblist.c and ntstat.c write them (commits 0f4c859e951f and
//! 1031c584a5e3 of apple-oss-distributions/xnu). Not yet run on macOS; the tests check the layouts.

use super::{Owner, UserId, same_address};
use std::net::{IpAddr, SocketAddr};

/// Finds the owner of the socket that is bound to `peer` and connected to `local`; both are canonical. Stops
/// at malformed data.
pub(super) fn find(table: &[u8], peer: SocketAddr, local: SocketAddr) -> Owner {
    let mut owner = None;
    let mut is_peers_socket = false;
    for (kind, record) in records(table) {
        match kind {
            XSO_INPCB => {
                is_peers_socket = addresses(record).is_some_and(|(source, target)| {
                    same_address(source, peer) && same_address(target, local)
                });
            }
            // This record follows the one with the socket's addresses.
            XSO_SOCKET if is_peers_socket => {
                let found = read_socket(record);
                owner = match owner {
                    Some(other) if other != found => Some(Owner::NoProcess),
                    _ => Some(found),
                };
            }
            _ => {}
        }
    }
    owner.unwrap_or(Owner::NotVisible)
}

/// The records of the table with their kinds. A `struct xinpgen` precedes and follows them.
fn records(table: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut at = XINPGEN;
    std::iter::from_fn(move || {
        let length = word(table, at)? as usize;
        let record = table.get(at..at.checked_add(length)?)?;
        if length <= XINPGEN {
            return None;
        }
        at += length.next_multiple_of(8);
        Some((word(record, 4)?, record))
    })
}

/// If the kernel has no socket for the connection, the uid is 0 and does not identify the owner: the socket is
/// closed, or its process implements TCP itself (sotoxsocket_n, nstat_userland_to_xsocket_n).
fn read_socket(record: &[u8]) -> Owner {
    match (record.get(8..16), word(record, 64)) {
        (Some(handle), Some(uid)) if handle != [0; 8] => Owner::User(UserId::Uid(uid)),
        _ => Owner::NoProcess,
    }
}

fn addresses(record: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let port = |at: usize| Some(u16::from_be_bytes(record.get(at..at + 2)?.try_into().ok()?));
    let ip = |at: usize| {
        let bytes: [u8; 16] = record.get(at..at + 16)?.try_into().ok()?;
        let [.., a, b, c, d] = bytes;
        match record.get(44)? {
            vflag if vflag & INP_IPV4 != 0 => Some(IpAddr::from([a, b, c, d])),
            _ => Some(IpAddr::from(bytes).to_canonical()),
        }
    };
    // In the kernel link-local addresses have their interface in the second word.
    let target = SocketAddr::new(without_scope(ip(48)?), port(16)?);
    Some((SocketAddr::new(without_scope(ip(64)?), port(18)?), target))
}

fn without_scope(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            let [a, _, c, d, e, f, g, h] = ip.segments();
            IpAddr::from([a, 0, c, d, e, f, g, h])
        }
        ip => ip,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The size of a `struct xinpgen`, in bytes.
const XINPGEN: usize = 24;
const XSO_SOCKET: u32 = 0x001;
const XSO_INPCB: u32 = 0x010;
const INP_IPV4: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: usize, kind: u32, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&kind.to_ne_bytes());
        for (at, field) in fields {
            bytes[*at..at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    fn generation() -> Vec<u8> {
        record(XINPGEN, 3, &[])
    }

    fn padded(ip: IpAddr) -> (u8, [u8; 16]) {
        match ip {
            IpAddr::V4(ip) => (1, ip.to_ipv6_compatible().octets()),
            IpAddr::V6(ip) => (2, ip.octets()),
        }
    }

    fn socket(source: &str, target: &str, uid: u32) -> Vec<u8> {
        listed(source, target, &[(8, &[7; 8]), (64, &uid.to_ne_bytes())])
    }

    /// A connection as the kernel lists it: six records.
    fn listed(source: &str, target: &str, socket: &[(usize, &[u8])]) -> Vec<u8> {
        let (source, target): (SocketAddr, SocketAddr) =
            (source.parse().unwrap(), target.parse().unwrap());
        let ((flag, source_ip), (_, target_ip)) = (padded(source.ip()), padded(target.ip()));
        [
            record(
                104,
                XSO_INPCB,
                &[
                    (16, &target.port().to_be_bytes()),
                    (18, &source.port().to_be_bytes()),
                    (44, &[flag]),
                    (48, &target_ip),
                    (64, &source_ip),
                ],
            ),
            record(104, XSO_SOCKET, socket),
            record(32, 0x002, &[]),
            record(32, 0x004, &[]),
            record(132, 0x008, &[]),
            vec![0; 4],
            record(204, 0x020, &[]),
            vec![0; 4],
        ]
        .concat()
    }

    fn table() -> Vec<u8> {
        [
            generation(),
            socket("127.0.0.1:80", "0.0.0.0:0", 0),
            socket("127.0.0.1:80", "127.0.0.1:4660", 0),
            socket("127.0.0.1:4660", "127.0.0.1:80", 501),
            socket("[::1]:4660", "[::1]:80", 502),
            socket("[::ffff:127.0.0.1]:4661", "[::ffff:127.0.0.1]:80", 503),
            socket("[fe80:4::1]:4660", "[fe80:4::1]:80", 504),
            generation(),
        ]
        .concat()
    }

    fn found(table: &[u8], peer: &str, local: &str) -> Owner {
        find(table, peer.parse().unwrap(), local.parse().unwrap())
    }

    #[test]
    fn sockets_are_found_by_both_addresses() {
        let uid = |uid| Owner::User(UserId::Uid(uid));
        for (peer, local, expected) in [
            ("127.0.0.1:4660", "127.0.0.1:80", uid(501)),
            ("[::1]:4660", "[::1]:80", uid(502)),
            ("127.0.0.1:4661", "127.0.0.1:80", uid(503)),
            ("[fe80::1%4]:4660", "[fe80::1%4]:80", uid(504)),
            ("127.0.0.1:4660", "127.0.0.1:81", Owner::NotVisible),
            ("127.0.0.1:4662", "127.0.0.1:80", Owner::NotVisible),
            ("127.0.0.2:4660", "127.0.0.1:80", Owner::NotVisible),
        ] {
            assert_eq!(found(&table(), peer, local), expected, "{peer} {local}");
        }
    }

    #[test]
    fn a_connection_without_a_socket_is_not_roots() {
        let (peer, local) = ("127.0.0.1:1", "127.0.0.1:2");
        // A closed socket; a connection of a process with its own TCP implementation, which has the id of
        // the process instead.
        let userland: [(usize, &[u8]); 3] = [(36, &[6]), (68, &[77]), (72, &[77])];
        for socket in [[].as_slice(), &userland] {
            let table = [generation(), listed(peer, local, socket), generation()].concat();
            assert_eq!(found(&table, peer, local), Owner::NoProcess, "{socket:?}");
        }
        let table = [generation(), socket(peer, local, 0), generation()].concat();
        assert_eq!(found(&table, peer, local), Owner::User(UserId::Uid(0)));
    }

    #[test]
    fn two_sockets_of_different_users_have_no_owner() {
        let twice = |other| {
            let one = socket("127.0.0.1:1", "127.0.0.1:2", 501);
            [generation(), one, socket("127.0.0.1:1", "127.0.0.1:2", other), generation()].concat()
        };
        assert_eq!(found(&twice(0), "127.0.0.1:1", "127.0.0.1:2"), Owner::NoProcess);
        assert_ne!(found(&twice(501), "127.0.0.1:1", "127.0.0.1:2"), Owner::NoProcess);
    }

    #[test]
    fn a_truncated_table_has_no_other_owner() {
        let table = table();
        for length in 0..table.len() {
            let found = found(&table[..length], "127.0.0.1:4660", "127.0.0.1:80");
            let expected = [Owner::NotVisible, Owner::User(UserId::Uid(501))];
            assert!(expected.contains(&found), "{length} bytes: {found:?}");
        }
        let endless = [generation(), record(16, XSO_INPCB, &[]), vec![0xff; 64]].concat();
        assert_eq!(found(&endless, "127.0.0.1:1", "127.0.0.1:2"), Owner::NotVisible);
    }
}
