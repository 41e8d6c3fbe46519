mod inherited;
mod tcp;
#[cfg(unix)]
mod unix;

pub use inherited::Inherited;

use super::Peer;
use crate::config::{Admission, Listen, SocketFile};
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
pub(crate) use unix::UnixSocket;

/// The sockets that the proxy listens on.
#[derive(Debug)]
pub struct Listeners {
    all: Vec<Listener>,
    /// Which one is asked first, so that none starves.
    turn: usize,
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
    /// A socket in the file system: somebody else listens there, or there is something that is not to
    /// be replaced, or the system does not let it.
    #[error("cannot listen on {}: {reason}: choose another path with --socket", .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// The platform has none.
    #[error("cannot listen on {}: this platform has no Unix sockets: leave --socket out", .0.display())]
    NoUnixSockets(PathBuf),
    /// What the service manager hands over is not to be listened on.
    #[error(
        "LISTEN_FDS: expected TCP or Unix stream sockets that listen, found another descriptor \
         ({0}): check the .socket unit"
    )]
    Inherited(io::Error),
    /// Anything else.
    #[error("cannot listen on {address}: {reason}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
}

/// Opens the TCP sockets that `listen` asks for, and 127.0.0.1 where `admission` needs it
/// (requirements.md, A2).
///
/// # Errors
///
/// The port is taken, not permitted, or the address is not one of this machine's.
pub async fn bind(listen: &Listen, admission: &Admission) -> Result<Listeners, ListenError> {
    Ok(Listeners::of(tcp::open_all(listen, admission)?.into_iter().map(Listener::Tcp).collect()))
}

impl Listeners {
    /// Opens all sockets that are asked for, beside those that are there already; TCP's default one
    /// if that leaves none.
    ///
    /// # Errors
    ///
    /// One of them cannot be opened, or is no socket to listen on.
    pub async fn open(
        listen: Option<&Listen>,
        socket: Option<&SocketFile>,
        inherited: Inherited,
        admission: &Admission,
    ) -> Result<Self, ListenError> {
        let mut all = inherited.listeners()?;
        if let Some(file) = socket {
            #[cfg(unix)]
            all.push(Listener::Unix(open_unix(file)?));
            #[cfg(not(unix))]
            return Err(ListenError::NoUnixSockets(file.path.clone()));
        }
        let default = Listen::default();
        if let Some(listen) = listen.or(all.is_empty().then_some(&default)) {
            all.extend(tcp::open_all(listen, admission)?.into_iter().map(Listener::Tcp));
        }
        Ok(Self::of(all))
    }

    fn of(all: Vec<Listener>) -> Self {
        Self { all, turn: 0, last_failure: None }
    }

    /// The addresses where connections are accepted, with the ports that the system chose.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Listener::Unix(_) => None,
        };
        self.all.iter().filter_map(address).collect()
    }

    /// The Unix sockets where connections are accepted.
    pub fn local_paths(&self) -> Vec<PathBuf> {
        let path = |listener: &Listener| match listener {
            Listener::Tcp(_) => None,
            #[cfg(unix)]
            Listener::Unix(socket) => Some(socket.path()),
        };
        self.all.iter().filter_map(path).collect()
    }

    /// The next connection. Does not fail: when the system cannot accept one, it waits until the
    /// system can.
    ///
    /// Safe to drop while it waits: no connection is lost.
    pub async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(accepted) => return accepted,
                Err(error) => self.survive(error).await,
            }
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        self.turn = (self.turn + 1) % self.all.len().max(1);
        let (first, last) = self.all.split_at(self.turn);
        for listener in last.iter().chain(first) {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
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

#[cfg(unix)]
fn open_unix(SocketFile { path, mode }: &SocketFile) -> Result<UnixSocket, ListenError> {
    UnixSocket::open(path, Some(*mode))
        .map_err(|reason| ListenError::Socket { path: path.clone(), reason: reason.to_string() })
}

impl Listener {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map(|accepted| {
                let (stream, peer) = accepted?;
                // Elsewhere it is inherited.
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

/// Between attempts to accept while the system cannot. Shorter only costs CPU time; longer delays
/// the first connection that could be had again.
const BACKOFF: Duration = Duration::from_millis(50);

/// Failures with less than this between them are one burst, logged once.
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

    /// Accepts a connection made to `address`: the addresses of both ends, and the client's own.
    async fn meet(listeners: &mut Listeners, address: SocketAddr) -> [SocketAddr; 3] {
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
}
