//! The sockets on which the proxy listens: its own, and those that a service manager passes to it.

mod inherited;
mod tcp;
#[cfg(unix)]
mod unix;

pub use inherited::Inherited;

#[cfg(unix)]
use crate::inbound::SocketFile;
use crate::inbound::{Admission, Config, Listen};
use crate::os::peer::Peer;
use crate::os::stream::Stream;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
#[cfg(unix)]
pub use unix::{UnixSocket, UnixSocketError};

/// The sockets on which the proxy listens.
#[derive(Debug)]
pub struct Listeners {
    all: Vec<Listener>,
    /// The index of the listener that is polled first. It changes, so that no listener starves.
    first: usize,
    last_failure: Option<Instant>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

/// Why the proxy cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program listens on this address.
    #[error(
        "cannot listen on {0}: the port is in use by another program: choose another with --port"
    )]
    InUse(SocketAddr),
    /// The system does not permit it.
    #[error(
        "cannot listen on {0}: not permitted (ports below 1024 may need CAP_NET_BIND_SERVICE): \
         choose another with --port"
    )]
    NotPermitted(SocketAddr),
    /// The address is not one of this machine.
    #[error(
        "cannot listen on {0}: this machine has no such address: choose one that it has with \
         --ip-address"
    )]
    NotLocal(SocketAddr),
    /// The Unix socket cannot be opened.
    #[cfg(unix)]
    #[error("cannot listen on {}: {reason}: choose another path with --socket", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why it cannot be opened.
        #[source]
        reason: UnixSocketError,
    },
    /// The platform has no Unix sockets.
    #[cfg(not(unix))]
    #[error("cannot listen on {}: this platform has no Unix sockets: leave --socket out", .0.display())]
    NoUnixSockets(PathBuf),
    /// The service manager passed a descriptor that is not a listening socket.
    #[error(
        "LISTEN_FDS: expected TCP or Unix stream sockets that listen, found another descriptor \
         ({0}): check the .socket unit"
    )]
    Inherited(#[source] io::Error),
    /// Another error of the system.
    #[error("cannot listen on {address}: {reason}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        #[source]
        reason: io::Error,
    },
}

/// Opens the TCP sockets for `listen`, and one on 127.0.0.1 if `admission` requires it
/// (docs/compatibility.md, A2).
///
/// # Errors
///
/// The port is in use or not permitted, or the address is not one of this machine.
pub async fn bind(listen: &Listen, admission: &Admission) -> Result<Listeners, ListenError> {
    Ok(Listeners::of(tcp::open_all(listen, admission)?.into_iter().map(Listener::Tcp).collect()))
}

impl Listeners {
    /// Opens all configured sockets, in addition to the inherited ones. If there are none of either,
    /// opens the default TCP socket.
    ///
    /// # Errors
    ///
    /// A socket cannot be opened, or an inherited one does not listen.
    pub async fn open(config: &Config, inherited: Inherited) -> Result<Self, ListenError> {
        let Config { listen, socket, admission, .. } = config;
        let mut all = inherited.listeners()?;
        if let Some(file) = socket {
            #[cfg(unix)]
            all.push(Listener::Unix(open_unix(file)?));
            #[cfg(not(unix))]
            return Err(ListenError::NoUnixSockets(file.path.clone()));
        }
        let default = Listen::default();
        if let Some(listen) = listen.as_ref().or(all.is_empty().then_some(&default)) {
            all.extend(tcp::open_all(listen, admission)?.into_iter().map(Listener::Tcp));
        }
        Ok(Self::of(all))
    }

    fn of(all: Vec<Listener>) -> Self {
        Self { all, first: 0, last_failure: None }
    }

    /// The TCP addresses of the listeners, with the ports that the system chose.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Listener::Unix(_) => None,
        };
        self.all.iter().filter_map(address).collect()
    }

    /// The paths of the Unix sockets.
    pub fn local_paths(&self) -> Vec<PathBuf> {
        let path = |listener: &Listener| match listener {
            Listener::Tcp(_) => None,
            #[cfg(unix)]
            Listener::Unix(socket) => Some(socket.path()),
        };
        self.all.iter().filter_map(path).collect()
    }

    /// Accepts the next connection. Does not fail: if the system cannot accept one, it waits and tries
    /// again.
    ///
    /// Cancel-safe: no connection is lost if the future is dropped.
    pub async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(accepted) => return accepted,
                Err(error) => self.back_off(error).await,
            }
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        self.first = (self.first + 1) % self.all.len().max(1);
        let (before, from) = self.all.split_at(self.first);
        for listener in from.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    async fn back_off(&mut self, error: io::Error) {
        // A client closed its connection before it was accepted. This does not affect other connections.
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
            return;
        }
        // Usually there are no file descriptors left (EMFILE, ENFILE) until connections end.
        let now = Instant::now();
        if self.last_failure.is_none_or(|last| now.duration_since(last) > BURST) {
            tracing::error!("cannot accept connections, retrying: {error}");
        }
        self.last_failure = Some(now);
        sleep(BACKOFF).await;
    }
}

#[cfg(unix)]
fn open_unix(SocketFile { path, mode }: &SocketFile) -> Result<UnixSocket, ListenError> {
    UnixSocket::open(path, Some(*mode))
        .map_err(|reason| ListenError::Socket { path: path.clone(), reason })
}

impl Listener {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map(|accepted| {
                let (stream, peer) = accepted?;
                // On other systems the connection inherits this option from the listener.
                #[cfg(windows)]
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?.into();
                Ok((Stream::Tcp(stream), Peer::Tcp { client: peer.into(), local }))
            }),
            #[cfg(unix)]
            Self::Unix(socket) => socket.poll_accept(context),
        }
    }
}

/// How long to wait after accepting has failed. A shorter time takes more CPU time; a longer one delays
/// the next connection.
const BACKOFF: Duration = Duration::from_millis(50);

/// Failures with a shorter time between them are one burst, which is logged once.
const BURST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpStream;

    fn listen(address: Option<&str>, port: u16) -> Listen {
        Listen { address: address.map(|address| address.parse().unwrap()), port }
    }

    fn network() -> Admission {
        Admission { user: None, network: Some("10.0.0.0/8".parse().unwrap()) }
    }

    async fn opened(address: Option<&str>, admission: &Admission) -> Listeners {
        bind(&listen(address, 0), admission).await.unwrap()
    }

    /// Connects to `address` and accepts the connection. Returns the peer's and the local address as the
    /// listener reports them, and the client's address.
    async fn connect(listeners: &mut Listeners, address: SocketAddr) -> [SocketAddr; 3] {
        let (client, (stream, peer)) =
            tokio::join!(TcpStream::connect(address), listeners.accept());
        let (Stream::Tcp(stream), Peer::Tcp { client: peer, local }) = (stream, peer) else {
            panic!("not over TCP");
        };
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
            let [peer, local, client] = connect(&mut listeners, address).await;
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
            assert_eq!(connect(&mut listeners, loopback).await[1], loopback);
            if count == 2 {
                assert_eq!(addresses[1], loopback);
                assert_eq!(connect(&mut listeners, addresses[0]).await[1], addresses[0]);
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
        // This side closes the connection first, and therefore is in TIME_WAIT afterwards.
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
}
