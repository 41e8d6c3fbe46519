//! Opens TCP sockets to listen on.

use super::ListenError;
use crate::inbound::{Admission, Listen};
use crate::outbound::KEEPALIVE;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

/// Opens the sockets for `listen`, and one on 127.0.0.1 if `admission` requires it
/// (docs/compatibility.md, A2).
///
/// # Errors
///
/// The port is in use or not permitted, or the address is not one of this machine.
pub(super) fn open_all(
    listen: &Listen,
    admission: &Admission,
) -> Result<Vec<TcpListener>, ListenError> {
    for _ in 1..ATTEMPTS {
        match try_open_all(listen, admission) {
            // The port that the system chose for the first address is in use on the second.
            Err(ListenError::InUse(_)) if listen.port == 0 => {}
            opened => return opened,
        }
    }
    try_open_all(listen, admission)
}

fn try_open_all(listen: &Listen, admission: &Admission) -> Result<Vec<TcpListener>, ListenError> {
    let first = match listen.address {
        Some(address) => open(SocketAddr::new(address, listen.port))?,
        None => open_on_all_interfaces(listen.port)?,
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

/// Opens one socket for IPv6 and IPv4, or for IPv4 only if the system has no IPv6.
fn open_on_all_interfaces(port: u16) -> Result<TcpListener, ListenError> {
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
        // The default depends on the system (net.ipv6.bindv6only on Linux; set on Windows).
        socket.set_only_v6(false)?;
    }
    // A killed proxy leaves connections in TIME_WAIT; the next proxy must be able to bind the port at once
    // (docs/compatibility.md, S7). On Windows this option would allow binding a port that is in use.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Connections inherit both options. Each write has a whole header section or chunk, which Nagle's
    // algorithm would only delay.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The keep-alive probes that detect that a client no longer exists.
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

/// The maximum of connections that wait to be accepted: a task may open hundreds at once. The system's
/// own limit (net.core.somaxconn) may be lower.
pub(super) const BACKLOG: i32 = 1024;

/// The number of attempts to find a port that is free on two addresses. A few are not always enough on a
/// busy machine.
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
