//! Parses Windows' tables of all TCP sockets and the processes that own them: `MIB_TCPTABLE_OWNER_PID` and
//! `MIB_TCP6TABLE_OWNER_PID`. Tested under wine, not yet on Windows.

use super::same_address;
use std::net::{IpAddr, SocketAddr};

/// Finds the process that owns the socket that is bound to `peer` and connected to `local`; both are
/// canonical. `Some(0)` if no process owns it any more, `None` if there is no such socket. Stops at
/// malformed data.
pub(super) fn find(ipv4: &[u8], ipv6: &[u8], peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let rows = rows(ipv4, 24).filter_map(read_ipv4).chain(rows(ipv6, 56).filter_map(read_ipv6));
    let mut found =
        rows.filter(|row| same_address(row.local, peer) && same_address(row.remote, local));
    let first = found.next()?.process;
    // If there are several, they must have the same process.
    Some(if found.all(|other| other.process == first) { first } else { 0 })
}

struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    process: u32,
}

fn rows(table: &[u8], length: usize) -> impl Iterator<Item = &[u8]> {
    let (count, rows) = table.split_at_checked(4).unwrap_or_default();
    let count = word(count, 0).unwrap_or_default() as usize;
    rows.chunks_exact(length).take(count)
}

fn read_ipv4(row: &[u8]) -> Option<Row> {
    let end = |at: usize| Some(SocketAddr::new(ip::<4>(row, at)?, port(row, at + 4)?));
    Some(Row { local: end(4)?, remote: end(12)?, process: process(word(row, 0)?, word(row, 20)?) })
}

fn read_ipv6(row: &[u8]) -> Option<Row> {
    let end = |at: usize| Some(SocketAddr::new(ip::<16>(row, at)?, port(row, at + 20)?));
    Some(Row { local: end(0)?, remote: end(24)?, process: process(word(row, 48)?, word(row, 52)?) })
}

fn process(state: u32, process: u32) -> u32 {
    if CONNECTED.contains(&state) { process } else { 0 }
}

fn ip<const N: usize>(row: &[u8], at: usize) -> Option<IpAddr>
where
    IpAddr: From<[u8; N]>,
{
    let bytes: [u8; N] = row.get(at..at + N)?.try_into().ok()?;
    Some(IpAddr::from(bytes).to_canonical())
}

/// The port is in network byte order in the first two of four bytes. The others are not documented.
fn port(row: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(row.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// ESTAB, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING, LAST_ACK: the states of a connection that was made, and
/// that the table still attributes to its process.
const CONNECTED: [u32; 6] = [5, 6, 7, 8, 9, 10];

#[cfg(test)]
mod tests {
    use super::super::captured::{addresses, bytes, captured};
    use super::*;

    fn table(rows: &[Vec<u8>]) -> Vec<u8> {
        [(rows.len() as u32).to_ne_bytes().as_slice(), &rows.concat()].concat()
    }

    fn end(address: &str) -> (Vec<u8>, [u8; 4]) {
        let address: SocketAddr = address.parse().unwrap();
        let [high, low] = address.port().to_be_bytes();
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        (ip, [high, low, 0xaa, 0xbb])
    }

    fn ipv4(state: u32, local: &str, remote: &str, process: u32) -> Vec<u8> {
        let ((local, local_port), (remote, remote_port)) = (end(local), end(remote));
        let [state, process] = [state.to_ne_bytes(), process.to_ne_bytes()];
        [&state, local.as_slice(), &local_port, &remote, &remote_port, &process].concat()
    }

    fn ipv6(state: u32, local: &str, remote: &str, process: u32) -> Vec<u8> {
        let ((local, local_port), (remote, remote_port)) = (end(local), end(remote));
        let [state, process] = [state.to_ne_bytes(), process.to_ne_bytes()];
        let scope = [1; 4];
        let local = [local.as_slice(), &scope, &local_port].concat();
        [&local, remote.as_slice(), &scope, &remote_port, &state, &process].concat()
    }

    #[test]
    fn sockets_are_found_by_both_addresses() {
        let four = table(&[
            ipv4(2, "127.0.0.1:80", "0.0.0.0:0", 7),
            ipv4(5, "127.0.0.1:80", "127.0.0.1:4660", 7),
            ipv4(5, "127.0.0.1:4660", "127.0.0.1:80", 11),
            ipv4(11, "127.0.0.1:4661", "127.0.0.1:80", 12),
            ipv4(8, "127.0.0.1:4662", "127.0.0.1:80", 13),
            ipv4(3, "127.0.0.1:4663", "127.0.0.1:80", 14),
            ipv4(5, "127.0.0.1:4664", "127.0.0.1:80", 15),
            ipv4(5, "127.0.0.1:4664", "127.0.0.1:80", 16),
        ]);
        let six = table(&[
            ipv6(5, "[::1]:4660", "[::1]:80", 21),
            ipv6(5, "[::ffff:127.0.0.1]:4665", "[::ffff:127.0.0.1]:80", 22),
        ]);
        for (peer, local, expected) in [
            ("127.0.0.1:4660", "127.0.0.1:80", Some(11)),
            ("127.0.0.1:4661", "127.0.0.1:80", Some(0)),
            ("127.0.0.1:4662", "127.0.0.1:80", Some(13)),
            ("127.0.0.1:4663", "127.0.0.1:80", Some(0)),
            ("127.0.0.1:4664", "127.0.0.1:80", Some(0)),
            ("127.0.0.1:4665", "127.0.0.1:80", Some(22)),
            ("[::1]:4660", "[::1]:80", Some(21)),
            ("127.0.0.1:4660", "127.0.0.1:81", None),
            ("127.0.0.2:4660", "127.0.0.1:80", None),
            ("[::1]:4661", "[::1]:80", None),
        ] {
            let found = find(&four, &six, peer.parse().unwrap(), local.parse().unwrap());
            assert_eq!(found, expected, "{peer} {local}");
        }
    }

    #[test]
    fn a_truncated_table_has_no_other_owner() {
        let row = ipv4(5, "127.0.0.1:1", "127.0.0.1:2", 11);
        let whole = table(std::slice::from_ref(&row));
        let ends = || ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        for length in 0..whole.len() {
            assert_eq!(find(&whole[..length], &[], ends().0, ends().1), None, "{length} bytes");
        }
        // Bytes after the last row are ignored.
        let longer = [table(&[]), row].concat();
        assert_eq!(find(&longer, &[], ends().0, ends().1), None);
    }

    /// Captured from wine: fixtures/README.md.
    #[test]
    #[cfg(target_endian = "little")]
    fn captured_tables() {
        let tables = captured(include_str!("../../../../../fixtures/tcp-tables.json"));
        let (ipv4, ipv6) = (bytes(&tables["tcp"]), bytes(&tables["tcp6"]));
        for case in tables["connections"].as_array().unwrap() {
            let (peer, local) = addresses(case);
            let expected = case["process"].as_u64().map(|process| process as u32);
            assert_eq!(find(&ipv4, &ipv6, peer, local), expected, "{}", case["note"]);
        }
    }
}
