use super::{ClientAddr, LocalAddr};
use crate::config::{Admission, Listen};
use crate::upstream::KEEPALIVE;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// The sockets that the proxy listens on.
#[derive(Debug)]
pub struct Listeners {
    first: TcpListener,
    /// 127.0.0.1, where `--allowed-network` asks for it.
    loopback: Option<TcpListener>,
    last_failure: Option<Instant>,
}

/// Why the proxy cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Somebody else does.
    #[error(
        "cannot listen on {0}: the port is in use by another program: choose another with --port"
    )]
    InUse(SocketAddr),
    /// The system does not let it.
    #[error(
        "cannot listen on {0}: not permitted (ports below 1024 may need CAP_NET_BIND_SERVICE): \
         choose another with --port"
    )]
    NotPermitted(SocketAddr),
    /// The address is another machine's.
    #[error(
        "cannot listen on {0}: this machine has no such address: choose one that it has with \
         --ip-address"
    )]
    NotLocal(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {reason}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
}

/// Opens the sockets that `listen` asks for, and 127.0.0.1 where `admission` needs it
/// (requirements.md, A2).
///
/// # Errors
///
/// The port is taken, not permitted, or the address is not one of this machine's.
pub async fn bind(listen: &Listen, admission: &Admission) -> Result<Listeners, ListenError> {
    let first = match listen.address {
        Some(address) => open(SocketAddr::new(address, listen.port))?,
        None => open_everywhere(listen.port)?,
    };
    let covered = match listen.address {
        None => true,
        Some(address) => address.is_unspecified() || address == Ipv4Addr::LOCALHOST,
    };
    let loopback = if admission.network.is_some() && !covered {
        let port = local_addr(&first)?.port();
        Some(open(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))?)
    } else {
        None
    };
    Ok(Listeners { first, loopback, last_failure: None })
}

impl Listeners {
    /// Where connections are accepted, with the ports that the system chose.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let all = std::iter::once(&self.first).chain(&self.loopback);
        all.filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The next connection. Does not fail: when the system cannot accept one, it waits until the
    /// system can.
    ///
    /// Safe to drop while it waits: no connection is lost.
    pub async fn accept(&mut self) -> (TcpStream, ClientAddr, LocalAddr) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                Err(error) => self.survive(error).await,
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(TcpStream, ClientAddr, LocalAddr)> {
        let (stream, peer) = match &self.loopback {
            None => self.first.accept().await?,
            Some(loopback) => tokio::select! {
                accepted = self.first.accept() => accepted?,
                accepted = loopback.accept() => accepted?,
            },
        };
        // Answers are written whole, heads and chunks: waiting to fill a segment only delays them.
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok((stream, peer.into(), local.into()))
    }

    async fn survive(&mut self, error: io::Error) {
        // The peer went away while it waited; the next one is as good as ever.
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
            return;
        }
        // Mostly a lack of file descriptors (EMFILE, ENFILE), which lasts until connections end.
        let now = Instant::now();
        if self.last_failure.is_none_or(|last| now.duration_since(last) > BURST) {
            tracing::error!("cannot accept connections, will go on trying: {error}");
        }
        self.last_failure = Some(now);
        sleep(BACKOFF).await;
    }
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
    // A proxy that was killed leaves connections in TIME_WAIT; the next one needs the port at once
    // (requirements.md, S7). On Windows the option means something else: to take a port over.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Connections inherit it.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn local_addr(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    listener.local_addr().map_err(|error| explain(unknown, error))
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
const BACKLOG: i32 = 1024;

/// Between attempts to accept while the system cannot. Shorter only costs CPU time; longer delays
/// the first connection that could be had again.
const BACKOFF: Duration = Duration::from_millis(50);

/// Failures with less than this between them are one burst, logged once.
const BURST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(address: Option<&str>, port: u16) -> Listen {
        Listen { address: address.map(|address| address.parse().unwrap()), port }
    }

    fn network() -> Admission {
        Admission { user: None, network: Some("10.0.0.0/8".parse().unwrap()) }
    }

    async fn opened(address: Option<&str>, admission: &Admission) -> Listeners {
        bind(&listen(address, 0), admission).await.unwrap()
    }

    /// Accepts a connection made to `address`: the addresses of both ends, and the client's own.
    async fn meet(listeners: &mut Listeners, address: SocketAddr) -> [SocketAddr; 3] {
        let (client, (stream, peer, local)) =
            tokio::join!(TcpStream::connect(address), listeners.accept());
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
        [peer.as_socket_addr(), local.as_socket_addr(), client.unwrap().local_addr().unwrap()]
    }

    #[tokio::test]
    async fn everywhere_is_ipv4_and_ipv6() {
        let mut listeners = opened(None, &Admission::default()).await;
        let port = listeners.local_addrs()[0].port();
        for address in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(address.parse().unwrap(), port);
            let [peer, local, client] = meet(&mut listeners, address).await;
            assert_eq!((peer, local), (client, address));
        }
    }

    #[tokio::test]
    async fn allowed_network_adds_loopback_unless_covered() {
        for (address, count) in [
            (None, 1),
            (Some("0.0.0.0"), 1),
            (Some("::"), 1),
            (Some("127.0.0.1"), 1),
            (Some("127.0.0.2"), 2),
            (Some("::1"), 2),
        ] {
            let mut listeners = opened(address, &network()).await;
            let addresses = listeners.local_addrs();
            assert_eq!(addresses.len(), count, "{address:?}");
            let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), addresses[0].port());
            assert_eq!(meet(&mut listeners, loopback).await[1], loopback);
            if count == 2 {
                assert_eq!(addresses[1], loopback);
                assert_eq!(meet(&mut listeners, addresses[0]).await[1], addresses[0]);
                let without = opened(address, &Admission::default()).await;
                assert_eq!(without.local_addrs().len(), 1);
            }
        }
    }

    #[tokio::test]
    async fn a_port_in_use() {
        for (address, taken) in [(Some("127.0.0.1"), "127.0.0.1"), (None, "[::]")] {
            let listeners = opened(address, &Admission::default()).await;
            let port = listeners.local_addrs()[0].port();
            let error = bind(&listen(address, port), &network()).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot listen on {taken}:{port}: the port is in use by another program: \
                     choose another with --port"
                )
            );
        }
    }

    #[tokio::test]
    async fn the_port_is_free_again_at_once() {
        let mut listeners = opened(Some("127.0.0.1"), &Admission::default()).await;
        let address = listeners.local_addrs()[0];
        let (client, (stream, ..)) = tokio::join!(TcpStream::connect(address), listeners.accept());
        // Closed first on this side, which is the side that is left in TIME_WAIT.
        drop(stream);
        drop(listeners);
        drop(client);
        bind(&listen(Some("127.0.0.1"), address.port()), &Admission::default()).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine() {
        let error = bind(&listen(Some("203.0.113.1"), 0), &network()).await.unwrap_err();
        assert!(error.to_string().contains("this machine has no such address"), "{error}");
    }

    #[test]
    fn not_permitted() {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80);
        let error = explain(address, ErrorKind::PermissionDenied.into()).to_string();
        assert!(error.starts_with("cannot listen on 127.0.0.1:80: not permitted"), "{error}");
    }
}
