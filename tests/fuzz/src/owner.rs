//! Fuzz target: Linux's table of TCP connections.

use taskcluster_proxy::testing::{Owner, UserId, find_owner};

/// The row of the connection is found in any table, and no other row is mistaken for it.
pub fn owner(data: &[u8]) {
    let table = String::from_utf8_lossy(data);
    let (peer, local) = ([127, 0, 0, 1], 50_502);
    let (peer, local) = ((peer, local).into(), ([127, 0, 0, 1], 44_227).into());
    let found = find_owner(&table, peer, local);
    // In the table port 50502 is C546, and 44227 is ACC3.
    if !table.to_ascii_uppercase().contains("C546") {
        assert!(
            !matches!(found, Owner::User(_)),
            "{found:?}, although the table has no such socket"
        );
        let row = "0: 0100007F:C546 0100007F:ACC3 01 00000000:00000000 00:00000000 00000000  1234  \
                   0 999 1 0000000000000000 20 4 30 10 -1";
        if found == Owner::NotVisible {
            let table = format!("{table}\n   {row}\n");
            assert_eq!(find_owner(&table, peer, local), Owner::User(UserId::Uid(1234)));
        }
    }
}
