//! TCP sockets to listen on.

use super::ListenError;
use crate::inbound::{Admission, Listen};
use crate::outbound::KEEPALIVE;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

/// Opens the sockets that `listen` asks for, and 127.0.0.1 where `admission` needs it
/// (docs/compatibility.md, A2).
///
/// # Errors
///
/// The port is taken, not permitted, or the address is not one of this machine's.
pub(super) fn open_all(
    listen: &Listen,
    admission: &Admission,
) -> Result<Vec<TcpListener>, ListenError> {
    for _ in 1..ATTEMPTS {
        match try_open_all(listen, admission) {
            // The one that the system chose for the first address was taken on the second.
            Err(ListenError::InUse(_)) if listen.port == 0 => {}
            opened => return opened,
        }
    }
    try_open_all(listen, admission)
}

fn try_open_all(listen: &Listen, admission: &Admission) -> Result<Vec<TcpListener>, ListenError> {
    let first = match listen.address {
        Some(address) => open(SocketAddr::new(address, listen.port))?,
        None => open_everywhere(listen.port)?,
    };
    let covered = match listen.address {
        None => true,
        Some(address) => address.is_unspecified() || address == Ipv4Addr::LOCALHOST,
    };
    let mut all = vec![first];
    if admission.network.is_some() && !covered {
        let port = local_addr(&all)?.port();
        all.push(open(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))?);
    }
    Ok(all)
}

/// IPv6 and IPv4 in one socket; IPv4 alone where the system has no IPv6.
fn open_everywhere(port: u16) -> Result<TcpListener, ListenError> {
    match open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
        Err(ListenError::NotLocal(_) | ListenError::Other { .. }) => {
            open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
        }
        opened => opened,
    }
}

fn open(address: SocketAddr) -> Result<TcpListener, ListenError> {
    try_open(address).map_err(|error| explain(address, error))
}

fn try_open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // The system's default differs: net.ipv6.bindv6only, Windows.
        socket.set_only_v6(false)?;
    }
    // A killed proxy leaves connections in TIME_WAIT; the next one needs the port at once
    // (docs/compatibility.md, S7). On Windows the option means something else: to take a port over.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Connections inherit both. Responses are written whole, header sections and chunks: waiting to
    // fill a segment only delays them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// How a connection notices that its client no longer exists.
pub(super) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE)
}

fn local_addr(listeners: &[TcpListener]) -> Result<SocketAddr, ListenError> {
    let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let first = listeners.first().map_or(Err(ErrorKind::NotFound.into()), TcpListener::local_addr);
    first.map_err(|error| explain(unknown, error))
}

fn explain(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        ErrorKind::AddrInUse => ListenError::InUse(address),
        ErrorKind::PermissionDenied => ListenError::NotPermitted(address),
        ErrorKind::AddrNotAvailable => ListenError::NotLocal(address),
        _ => ListenError::Other { address, reason: error },
    }
}

/// Connections that wait to be accepted, beyond which the system turns some away: a task may open
/// hundreds at once. The system's own limit (net.core.somaxconn) may be lower.
pub(super) const BACKLOG: i32 = 1024;

/// How often to look for a port that is free on two addresses. Fewer fail now and then on a busy
/// machine.
const ATTEMPTS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_permitted() {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
        let error = explain(address, ErrorKind::PermissionDenied.into()).to_string();
        assert!(error.starts_with("cannot listen on 127.0.0.1:80: not permitted"), "{error}");
    }
}
