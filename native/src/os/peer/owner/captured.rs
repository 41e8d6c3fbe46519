//! Test support: reads captured responses of operating systems from `fixtures/`.

use serde_json::Value;
use std::net::SocketAddr;

pub(super) fn captured(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}

pub(super) fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The addresses of a connection: the peer's, and the local one.
pub(super) fn addresses(connection: &Value) -> (SocketAddr, SocketAddr) {
    let address = |name: &str| connection[name].as_str().unwrap().parse().unwrap();
    (address("peer"), address("local"))
}
