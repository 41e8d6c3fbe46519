//! Reads the kernel's tables of all sockets in `/proc/net`.

use super::{Owner, UserId, same_address};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Reads the tables of IPv4 and IPv6 into one text.
///
/// # Errors
///
/// A table cannot be read.
pub(super) fn read_tables() -> io::Result<String> {
    let mut table = std::fs::read_to_string("/proc/net/tcp")?;
    match std::fs::read_to_string("/proc/net/tcp6") {
        Ok(ipv6) => table.push_str(&ipv6),
        // The system has no IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(table)
}

/// Finds the owner of `peer`'s socket in the text of `/proc/net/tcp`, `/proc/net/tcp6` or both
/// (proc_pid_net(5)). Skips lines that are not rows, such as the headings.
///
/// Compares both addresses of a socket, because ports are reused. IPv6 sockets that are used for IPv4 are in
/// the second table, with mapped addresses.
pub fn find_owner(table: &str, peer: SocketAddr, local: SocketAddr) -> Owner {
    let mut visible = false;
    let mut owner = None;
    for row in table.lines().filter_map(read_row).filter(|row| same_address(row.local, peer)) {
        visible = true;
        if same_address(row.remote, local) {
            owner = match owner {
                // Sockets that are bound to different interfaces can have the same addresses.
                Some(other) if other != row.owner => Some(Owner::NoProcess),
                _ => Some(row.owner),
            };
        }
    }
    match owner {
        Some(owner) => owner,
        None if visible => Owner::NoProcess,
        None => Owner::NotVisible,
    }
}

struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    owner: Owner,
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode ..`
fn read_row(line: &str) -> Option<Row> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = read_address(columns.next()?)?;
    let remote = read_address(columns.next()?)?;
    let mut columns = columns.skip(4);
    let uid = columns.next().and_then(|uid| uid.parse().ok());
    let inode = columns.nth(1).and_then(|inode| inode.parse::<u64>().ok());
    let owner = match (uid, inode) {
        // A socket without an inode has no process (it was closed, or is in TIME_WAIT), and its uid is 0
        // regardless of its previous owner.
        (Some(uid), Some(1..)) => Owner::User(UserId::Uid(uid)),
        _ => Owner::NoProcess,
    };
    Some(Row { local, remote, owner })
}

/// Parses an address such as `0100007F:1F90`: 32-bit words in native byte order, and a port.
fn read_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

// The tables come from a machine that stores words in this order.
#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    /// Connections of user 65534: one to a socket for both versions, one to an IPv4 socket, and one that its
    /// process closed (row 4, from a kernel that still reports the uid).
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1682 1 00000000f9618338 100 0 0 10 0
   1: 0100007F:ACC3 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 24078 1 00000000549d011a 100 0 0 10 0
   2: 0100007F:ACC3 0100007F:C552 08 00000000:00000001 00:00000000 00000000 65534        0 24089 2 00000000c8ec0954 20 0 1 10 -1
   3: 0100007F:C546 0100007F:ACC3 01 00000000:00000000 00:00000000 00000000 65534        0 24080 2 00000000642d1a89 20 0 0 10 -1
   4: 0100007F:C552 0100007F:ACC3 04 00000001:00000000 01:00000014 00000000 65534        0 0 2 00000000d14e0eed 20 0 0 10 -1
   5: 0100007F:E0EC 0100007F:A2A7 01 00000000:00000000 00:00000000 00000000 65534        0 24086 2 0000000047893931 20 0 0 10 -1
";

    /// An IPv6 socket that is used for IPv4 (row 2), and both sockets of an IPv6 connection.
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:A2A7 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 24079 1 00000000138ed615 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:A2A7 0000000000000000FFFF00000100007F:E0EC 01 00000000:00000000 00:00000000 00000000 65534        0 24087 1 0000000058397a1b 20 0 0 10 -1
   2: 0000000000000000FFFF00000100007F:C54A 0000000000000000FFFF00000100007F:ACC3 01 00000000:00000000 00:00000000 00000000 65534        0 24084 2 0000000098b01e96 20 0 0 10 -1
   3: 00000000000000000000000001000000:A2A7 00000000000000000000000001000000:A06C 01 00000000:00000000 00:00000000 00000000 65534        0 24083 1 0000000075761f1f 20 0 0 10 -1
   4: 00000000000000000000000001000000:A06C 00000000000000000000000001000000:A2A7 01 00000000:00000000 00:00000000 00000000 65534        0 24082 2 00000000de6b3109 20 0 0 10 -1
";

    fn of_uid(uid: u32) -> Owner {
        Owner::User(UserId::Uid(uid))
    }

    fn owner(table: &str, peer: &str, local: &str) -> Owner {
        find_owner(table, peer.parse().unwrap(), local.parse().unwrap())
    }

    #[test]
    fn sockets_are_found_by_both_addresses() {
        let both = format!("{TCP}{TCP6}");
        for (peer, local, expected) in [
            ("127.0.0.1:50502", "127.0.0.1:44227", of_uid(65534)),
            ("127.0.0.1:57580", "127.0.0.1:41639", of_uid(65534)),
            // From a mapped address, and from an IPv6 one.
            ("127.0.0.1:50506", "127.0.0.1:44227", of_uid(65534)),
            ("[::1]:41068", "[::1]:41639", of_uid(65534)),
            // Closed by its process.
            ("127.0.0.1:50514", "127.0.0.1:44227", Owner::NoProcess),
            // A socket in this namespace that is connected to another address.
            ("127.0.0.1:50502", "127.0.0.1:8080", Owner::NoProcess),
            ("127.0.0.1:50502", "10.0.0.1:44227", Owner::NoProcess),
            ("127.0.0.1:50503", "127.0.0.1:44227", Owner::NotVisible),
            ("172.17.0.2:50502", "127.0.0.1:44227", Owner::NotVisible),
            ("[::1]:50502", "[::1]:44227", Owner::NotVisible),
        ] {
            assert_eq!(owner(&both, peer, local), expected, "{peer} {local}");
        }
    }

    /// `uid` and `inode` of a connection from 127.0.0.1:1 to 127.0.0.1:2.
    fn row(uid: &str, inode: &str) -> String {
        format!("7: 0100007F:0001 0100007F:0002 01 0:0 0:0 0 {uid} 0 {inode} 1 0 20 4 30 10 -1\n")
    }

    #[test]
    fn a_socket_without_a_process_is_not_roots() {
        for (rows, expected) in [
            (row("0", "1"), of_uid(0)),
            (row("0", "0"), Owner::NoProcess),
            (row("0", "x"), Owner::NoProcess),
            (row("x", "1"), Owner::NoProcess),
            (row("-1", "1"), Owner::NoProcess),
            (row("7", "1") + &row("7", "1"), of_uid(7)),
            (row("7", "1") + &row("0", "2"), Owner::NoProcess),
            (row("0", "1") + &row("0", "0"), Owner::NoProcess),
        ] {
            assert_eq!(owner(&rows, "127.0.0.1:1", "127.0.0.1:2"), expected, "{rows}");
        }
    }

    #[test]
    fn lines_that_are_not_rows_are_skipped() {
        for line in [
            "",
            "   ",
            "7:",
            "7: 0100007F:0001",
            "7: 0100007F:0001 0100007F",
            "7: 0100007F0001 0100007F:0002 01",
            "7: é100007F:0001 é100007F:0002 01",
            "7: 000000000000000000000000000éé:0001 0100007F:0002 01",
            "7: 100007F:0001 0100007F:0002 01 0:0 0:0 0 0 0 1",
            "7: 0100007F:10001 0100007F:0002 01 0:0 0:0 0 0 0 1",
            "7: 0100007G:0001 0100007F:0002 01 0:0 0:0 0 0 0 1",
        ] {
            assert_eq!(owner(line, "127.0.0.1:1", "127.0.0.1:2"), Owner::NotVisible, "{line}");
            let table = format!("{line}\n{}", row("7", "1"));
            assert_eq!(owner(&table, "127.0.0.1:1", "127.0.0.1:2"), of_uid(7), "{line}");
        }
    }
}
