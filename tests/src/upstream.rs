//! A scripted HTTP/1.1 upstream, which records its requests.

use crate::http1::{Body, Head};
use crate::scripted_response::Step;
use crate::sync::Watched;
use crate::{DEADLINE, ScriptedResponse};
use socket2::{Domain, Socket, Type};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// A scripted deployment on a port of 127.0.0.1, which records the requests that it receives.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<Watched<State>>,
}

/// The responses in the order of requests: an array or a vector, of which the last one serves all
/// further requests, or a closure that gets the request before its body is read.
pub trait Script: Send + 'static {
    /// The response to this request, before its body is read.
    fn respond(&mut self, request: &Request) -> ScriptedResponse;
}

/// A request, as far as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number among all requests, from 0.
    pub index: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// The request line and the header section, byte for byte.
    pub head: Head,
    /// The body, decoded if it was chunked, up to [`MAX_RECORDED`](Self::MAX_RECORDED).
    pub body: Vec<u8>,
    /// The length of the body so far.
    pub body_length: u64,
    /// Whether the whole body was received.
    pub complete: bool,
    /// The trailer section.
    pub trailers: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    connections: Vec<Weak<TcpStream>>,
    /// How many connections have ended, whichever side closed them.
    ended: usize,
    /// The upstream was dropped.
    stopped: bool,
}

/// A reserved port, by default of 127.0.0.1, that refuses connections until an [`Upstream`] starts on
/// it, or an [`UnresponsiveAddress`](crate::UnresponsiveAddress).
#[derive(Debug)]
pub struct ClosedPort {
    socket: Socket,
    address: SocketAddr,
}

impl ClosedPort {
    /// Reserves a free one.
    pub fn take() -> Self {
        let [port] = Self::take_of([Ipv4Addr::LOCALHOST.into()]);
        port
    }

    /// Reserves the same one, which is free everywhere, of each of these addresses.
    pub fn take_of<const N: usize>(addresses: [IpAddr; N]) -> [Self; N] {
        // Held until the end, so that another port is tried each time.
        let mut tried = Vec::new();
        loop {
            let mut number = 0;
            let mut ports = Vec::new();
            for address in addresses {
                match Self::bind(SocketAddr::new(address, number)) {
                    Ok(port) => {
                        number = port.address.port();
                        ports.push(port);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{address}: {error}");
                    }
                }
            }
            match ports.try_into() {
                Ok(ports) => return ports,
                Err(ports) => tried.push(ports),
            }
        }
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket();
        Ok(Self { socket, address: address.expect("it is bound to a port") })
    }

    /// Begins to listen, with room for so many connections that wait to be accepted.
    pub(crate) fn listen(self, backlog: i32) -> TcpListener {
        self.socket.listen(backlog).expect("a bound socket can listen");
        self.socket.into()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`
    pub fn root_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

impl Upstream {
    /// Starts one on a free port.
    pub fn start(script: impl Script) -> Self {
        Self::start_at(ClosedPort::take(), script)
    }

    /// Starts one on this port.
    pub fn start_at(port: ClosedPort, script: impl Script) -> Self {
        Self::start_with(port, script, |serve| drop(thread::spawn(serve)))
    }

    /// Starts one that accepts the next connection when the one before has ended, as a server of one
    /// thread does.
    pub fn start_with_one_thread(script: impl Script) -> Self {
        Self::start_with(ClosedPort::take(), script, |serve| serve())
    }

    fn start_with(port: ClosedPort, script: impl Script, run: fn(Serve)) -> Self {
        let address = port.address;
        let listener = port.listen(BACKLOG);
        let state = Arc::new(Watched::new(State::default()));
        let script: Arc<Mutex<dyn Script>> = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &shared, &script, run));
        Self { address, state }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`
    pub fn root_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.read(|state| state.requests.clone())
    }

    /// The last request so far.
    pub fn last_request(&self) -> Request {
        self.requests().pop().expect("there was a request")
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.state.read(|state| state.connections.len())
    }

    /// Waits until `find` returns something for the requests so far; a request changes while its
    /// body is received.
    pub fn wait_for<R>(&self, what: &str, mut find: impl FnMut(&[Request]) -> Option<R>) -> R {
        self.state.wait_for(|state| find(&state.requests)).unwrap_or_else(|| {
            panic!("{what} not received within {DEADLINE:?}; requests: {:#?}", self.requests())
        })
    }

    /// Waits until so many requests were received completely.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        self.wait_for(&format!("{count} requests"), |requests| {
            let complete = requests.iter().filter(|request| request.complete).count() >= count;
            complete.then(|| requests.to_vec())
        })
    }

    /// Waits until so many connections have ended, whichever side closed them.
    pub fn wait_for_closed_connections(&self, count: usize) {
        let ended = self.state.wait_for(|state| (state.ended >= count).then_some(()));
        assert!(ended.is_some(), "{count} connections did not end within {DEADLINE:?}");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let connections = self.state.change(|state| {
            state.stopped = true;
            state.connections.clone()
        });
        for stream in connections.iter().filter_map(Weak::upgrade) {
            // Ends reads that wait for data. It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Request {
    /// How much of a body is recorded.
    pub const MAX_RECORDED: usize = 8 * 1024 * 1024;

    /// The method.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The target, byte for byte.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The value of the first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl<F: FnMut(&Request) -> ScriptedResponse + Send + 'static> Script for F {
    fn respond(&mut self, request: &Request) -> ScriptedResponse {
        self(request)
    }
}

impl<const N: usize> Script for [ScriptedResponse; N] {
    fn respond(&mut self, request: &Request) -> ScriptedResponse {
        nth(self, request.index)
    }
}

impl Script for Vec<ScriptedResponse> {
    fn respond(&mut self, request: &Request) -> ScriptedResponse {
        nth(self, request.index)
    }
}

fn nth(responses: &[ScriptedResponse], index: usize) -> ScriptedResponse {
    responses.get(index).or(responses.last()).cloned().unwrap_or_else(ScriptedResponse::nothing)
}

/// Serves one connection to its end.
type Serve = Box<dyn FnOnce() + Send>;

fn accept(
    listener: &TcpListener,
    state: &Arc<Watched<State>>,
    script: &Arc<Mutex<dyn Script>>,
    run: fn(Serve),
) {
    for stream in listener.incoming().map_while(Result::ok) {
        let stream = Arc::new(stream);
        let connection = state.change(|state| {
            state.connections.push(Arc::downgrade(&stream));
            state.connections.len() - 1
        });
        if state.read(|state| state.stopped) {
            return;
        }
        let (state, script) = (Arc::clone(state), Arc::clone(script));
        run(Box::new(move || {
            // An error only ends the connection.
            let _ = serve(&stream, connection, &state, &script);
            drop(stream);
            state.change(|state| state.ended += 1);
        }));
    }
}

fn serve(
    mut stream: &TcpStream,
    connection: usize,
    state: &Watched<State>,
    script: &Mutex<dyn Script>,
) -> io::Result<()> {
    // Each write is sent at once.
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream);
    while let Some(head) = Head::read(&mut from)? {
        let mut body = Body::of_request(&head);
        let request = state.change(|state| {
            let index = state.requests.len();
            let complete = body.is_done();
            let (body, trailers) = (Vec::new(), Vec::new());
            let body_length = 0;
            let request =
                Request { index, connection, head, body, body_length, complete, trailers };
            state.requests.push(request.clone());
            request
        });
        let response = script.lock().unwrap_or_else(PoisonError::into_inner).respond(&request);
        for step in response.steps {
            match step {
                Step::ReadBody => read_body(&mut from, &mut body, state, request.index)?,
                Step::Send(bytes) => stream.write_all(&bytes)?,
                Step::Repeat { block, length } => {
                    io::copy(&mut Cycle { block, at: 0 }.take(length), &mut stream)?;
                }
                Step::Trickle { bytes, pause } => {
                    for byte in bytes {
                        thread::sleep(pause);
                        stream.write_all(&[byte])?;
                    }
                }
                Step::Wait(latch) if latch.wait() => {}
                Step::Wait(_) | Step::Close => return Ok(()),
                Step::Reset => {
                    return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                Step::Stall => return io::copy(&mut from, &mut io::sink()).map(|_| ()),
            }
        }
    }
    Ok(())
}

fn read_body(
    from: &mut BufReader<&TcpStream>,
    body: &mut Body,
    state: &Watched<State>,
    index: usize,
) -> io::Result<()> {
    loop {
        let data = body.next(from)?;
        state.change(|state| {
            let request = &mut state.requests[index];
            match &data {
                None => {
                    request.trailers = body.trailers().to_vec();
                    request.complete = true;
                }
                Some(data) => {
                    let kept = data.len().min(Request::MAX_RECORDED - request.body.len());
                    request.body.extend(&data[..kept]);
                    request.body_length += data.len() as u64;
                }
            }
        });
        if data.is_none() {
            return Ok(());
        }
    }
}

/// A block, repeated endlessly.
struct Cycle {
    block: Vec<u8>,
    at: usize,
}

impl Read for Cycle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&self.block[self.at..]).read(into)?;
        self.at = (self.at + read) % self.block.len();
        Ok(read)
    }
}
