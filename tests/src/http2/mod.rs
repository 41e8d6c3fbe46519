//! A real HTTP/2 upstream over TLS (ALPN `h2`) with scripted behaviour: stalled bodies, stream limits,
//! refused streams, GOAWAY, connections that die without notice. It records the requests.
//!
//! It acts as a forward proxy, too, so that it can have any host name.

mod frames;
mod response;
mod serve;
mod stream;

pub use frames::{Frame, Frames};
pub use response::Http2Response;

use crate::server_tls::{Authority, accept_connect, acceptor};
use crate::sync::Watched;
use crate::{DEADLINE, Proxy, ProxyBuilder, Request};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stream::{Counted, Socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An HTTP/2 upstream, on a port of 127.0.0.1.
#[derive(Debug)]
pub struct Http2Upstream {
    host: String,
    address: SocketAddr,
    authority: Authority,
    state: Arc<Watched<State>>,
    runtime: Option<Runtime>,
}

/// The configuration of an [`Http2Upstream`].
#[derive(Clone, Debug)]
pub struct Http2Builder {
    host: String,
    max_concurrent_streams: Option<u32>,
    goaway_every: Option<usize>,
}

/// The requests and connections so far.
#[derive(Debug, Default)]
struct State {
    /// In the form of HTTP/1.1, with the authority as Host.
    requests: Vec<Request>,
    connections: Vec<Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    silent: Arc<AtomicBool>,
    /// How many frames of each type were received, without acknowledgements.
    frames: [usize; 16],
    open_streams: usize,
    most_open_streams: usize,
    /// The bytes of response bodies so far.
    sent: u64,
    ended: bool,
}

/// The state that all connections share.
struct Shared {
    acceptor: TlsAcceptor,
    builder: Http2Builder,
    state: Arc<Watched<State>>,
    behaviour: Behaviour,
}

/// How the upstream responds to requests.
enum Behaviour {
    /// By the `h2` crate's server.
    Server(Mutex<Respond>),
    /// Frame by frame; a connection is closed when its function returns.
    Frames(Serve),
}

type Respond = Box<dyn FnMut(&Request) -> Http2Response + Send>;
type Serve = Box<dyn Fn(usize, &mut Frames) -> std::io::Result<()> + Send + Sync>;

impl Http2Upstream {
    /// With a certificate for this host name.
    pub fn for_host(host: &str) -> Http2Builder {
        Http2Builder { host: host.to_owned(), max_concurrent_streams: None, goaway_every: None }
    }

    /// A proxy with this upstream as its deployment; the host can be reached by name, too.
    pub fn proxy(&self) -> ProxyBuilder {
        Proxy::in_front_of(format!("https://{}", self.host))
            .env("HTTPS_PROXY", format!("http://{}", self.address))
            .env("SSL_CERT_FILE", self.authority.path())
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.read(|state| state.requests.clone())
    }

    /// How many requests there have been for this target.
    pub fn count(&self, target: &str) -> usize {
        let same = |request: &&Request| request.target() == target;
        self.state.read(|state| state.requests.iter().filter(same).count())
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.state.read(|state| state.connections.len())
    }

    /// How many frames of this type were received on a connection, without acknowledgements.
    pub fn frames(&self, connection: usize, kind: u8) -> usize {
        self.state.read(|state| state.connections[connection].frames[usize::from(kind)])
    }

    /// The most streams that were open at the same time, on each connection.
    pub fn most_open_streams(&self) -> Vec<usize> {
        let most = |connection: &Connection| connection.most_open_streams;
        self.state.read(|state| state.connections.iter().map(most).collect())
    }

    /// Makes all open connections stop sending, even a FIN.
    pub fn fall_silent(&self) {
        self.state.read(|state| {
            for connection in &state.connections {
                connection.silent.store(true, Ordering::SeqCst);
            }
        });
    }

    /// Waits until `find` returns something for the requests so far; a request changes while its
    /// body is received.
    pub fn wait_for<R>(&self, what: &str, mut find: impl FnMut(&[Request]) -> Option<R>) -> R {
        self.state.wait_for(|state| find(&state.requests)).unwrap_or_else(|| {
            panic!("{what} not received within {DEADLINE:?}; requests: {:#?}", self.requests())
        })
    }

    /// Waits until the header sections of so many requests were received.
    pub fn wait_for_requests(&self, count: usize) {
        self.wait_for(&format!("{count} requests"), |requests| {
            (requests.len() >= count).then_some(())
        });
    }

    /// Waits until so many frames of this type were received on a connection.
    pub fn wait_for_frames(&self, connection: usize, kind: u8, count: usize) {
        let received = self.state.wait_for(|state| {
            let connection = state.connections.get(connection)?;
            (connection.frames[usize::from(kind)] >= count).then_some(())
        });
        assert!(
            received.is_some(),
            "{count} frames of type {kind} were not received within {DEADLINE:?}"
        );
    }

    /// Waits until so many connections have ended.
    pub fn wait_for_closed_connections(&self, count: usize) {
        let ended = self.state.wait_for(|state| {
            let ended = state.connections.iter().filter(|connection| connection.ended).count();
            (ended >= count).then_some(())
        });
        assert!(ended.is_some(), "{count} connections did not end within {DEADLINE:?}");
    }

    /// Waits until flow control blocks all response bodies: nothing could be sent for half a second.
    pub fn wait_until_blocked(&self) {
        let sent = |state: &State| state.connections.iter().map(|it| it.sent).sum::<u64>();
        let mut before = self.state.read(sent);
        while let Some(now) = self.state.wait_for_within(BLOCKED, |state| {
            let now = sent(state);
            (now != before).then_some(now)
        }) {
            before = now;
        }
    }
}

/// A body that sends nothing for so long counts as blocked.
const BLOCKED: Duration = Duration::from_millis(500);

impl Drop for Http2Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Blocked tasks may remain until the test process ends.
            runtime.shutdown_background();
        }
    }
}

impl Http2Builder {
    /// Serves at most so many requests at a time on a connection (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub fn max_concurrent_streams(mut self, count: u32) -> Self {
        self.max_concurrent_streams = Some(count);
        self
    }

    /// Shuts each connection down gracefully after so many requests: with two GOAWAY frames, as
    /// RFC 9113 section 6.8 recommends.
    pub fn goaway_every(mut self, requests: usize) -> Self {
        self.goaway_every = Some(requests);
        self
    }

    /// Starts it. `respond` gets each request before its body is read.
    pub fn start(
        self,
        respond: impl FnMut(&Request) -> Http2Response + Send + 'static,
    ) -> Http2Upstream {
        self.start_with(Behaviour::Server(Mutex::new(Box::new(respond))))
    }

    /// Starts it frame by frame: `serve` gets the number of each connection, from 0, and the
    /// connection, which is closed when it returns.
    pub fn start_frames(
        self,
        serve: impl Fn(usize, &mut Frames) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Http2Upstream {
        self.start_with(Behaviour::Frames(Box::new(serve)))
    }

    fn start_with(self, behaviour: Behaviour) -> Http2Upstream {
        let runtime = Runtime::new().expect("there can be a runtime");
        let listening = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listening.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (acceptor, authority) = acceptor(&self.host, [1975, 4096], "h2");
        let state = Arc::new(Watched::default());
        let host = self.host.clone();
        let shared = Shared { acceptor, builder: self, state: Arc::clone(&state), behaviour };
        let shared = Arc::new(shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).serve(stream));
            }
        });
        Http2Upstream { host, address, authority, state, runtime: Some(runtime) }
    }
}

impl Shared {
    /// Errors only end the connection.
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let silent = Arc::new(AtomicBool::new(false));
        let Some(stream) = self.accept(stream, Arc::clone(&silent)).await else {
            return;
        };
        let index = self.state.change(|state| {
            state.connections.push(Connection { silent, ..Connection::default() });
            state.connections.len() - 1
        });
        let state = Arc::clone(&self.state);
        let stream = Counted::new(stream, move |kind: u8, flags: u8| {
            let acknowledges =
                matches!(kind, Frame::SETTINGS | Frame::PING) && flags & Frame::ACK != 0;
            state.change(|state| {
                let frames = &mut state.connections[index].frames;
                if let Some(count) = frames.get_mut(usize::from(kind)).filter(|_| !acknowledges) {
                    *count += 1;
                }
            });
        });
        let shared = Arc::clone(&self);
        match &self.behaviour {
            Behaviour::Server(_) => drop(serve::connection(shared, stream, index).await),
            Behaviour::Frames(_) => {
                let runtime = Handle::current();
                let served = tokio::task::spawn_blocking(move || {
                    if let Behaviour::Frames(serve) = &shared.behaviour {
                        serve(index, &mut Frames::start(stream, runtime)?)?;
                    }
                    std::io::Result::Ok(())
                });
                drop(served.await);
            }
        }
        self.state.change(|state| state.connections[index].ended = true);
    }

    async fn accept(
        &self,
        mut stream: TcpStream,
        silent: Arc<AtomicBool>,
    ) -> Option<TlsStream<Socket>> {
        stream.set_nodelay(true).ok()?;
        accept_connect(&mut stream).await.ok()?;
        self.acceptor.accept(Socket { stream, silent }).await.ok()
    }
}
