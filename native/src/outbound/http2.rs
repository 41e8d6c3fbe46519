//! Connections to upstreams over HTTP/2, by hyper.

use super::batched_writes::BatchedWrites;
use super::connect_error::ConnectError;
use super::error::{UnusableResponse, UpstreamError};
use super::http1::{MAX_HEADER_FIELDS, MAX_HEADER_SECTION};
use super::replay::AttemptBody;
use super::stream::{Traffic, UpstreamStream};
use crate::os::stream::Stream;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

/// How much of one response is received before the client takes it, in bytes. A larger one is faster
/// over long distances (this much arrives in one round trip), and is the memory that a client costs
/// that does not read.
const STREAM_WINDOW: u32 = 256 * 1024;

/// How many requests share a connection. Their windows all fit the connection's: no client that does
/// not read can keep the responses of others from arriving (RFC 9113 section 5.2).
const MAX_STREAMS: u32 = 31;

/// The window of a connection, in bytes: that of all its streams, and one more.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (MAX_STREAMS + 1);

/// The largest frame that is received, in bytes.
const MAX_FRAME: u32 = 64 * 1024;

/// Header sections up to this size, as HTTP/2 counts it, are received, so that one that is too large
/// to be forwarded harms no other request of the connection.
const MAX_HEADER_LIST: u32 = 1024 * 1024;

/// So often a connection with requests in flight is asked whether it still works (PING), and so long
/// the response may take.
const PING: Duration = Duration::from_secs(10);

/// A connection that carries several requests at a time. It ends with the last handle.
#[derive(Debug)]
pub(super) struct Http2Connection {
    sender: SendRequest<AttemptBody>,
    connection: Rc<RefCell<Option<HyperConnection>>>,
    traffic: Rc<Traffic>,
    streams: Cell<usize>,
    /// What had been read when a request was given up without a frame from the upstream: until another one
    /// comes the connection may be dead.
    suspect_since: Cell<Option<u64>>,
    /// Since when it carries no request.
    idle_since: Cell<Instant>,
    /// Told when there is room for another request.
    released: Rc<Notify>,
}

type HyperConnection =
    Connection<TokioIo<BatchedWrites<UpstreamStream>>, AttemptBody, LocalExecutor>;

/// The place of one request on a connection.
#[derive(Debug)]
pub(super) struct Http2Stream {
    connection: Rc<Http2Connection>,
    /// What was read of the connection before the request.
    reads: u64,
    complete: bool,
}

/// Runs hyper's tasks on this thread.
#[derive(Clone, Debug)]
struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(async { drop(future.await) });
    }
}

impl Http2Connection {
    /// Begins HTTP/2 on `stream`. `released` is told whenever there is room for another request.
    pub(super) async fn start(
        stream: Stream,
        released: Rc<Notify>,
    ) -> Result<Rc<Self>, ConnectError> {
        let (stream, traffic) = UpstreamStream::new(stream);
        let (sender, connection) = Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(BatchedWrites::new(stream)))
            .await?;
        let connection = Rc::new(RefCell::new(Some(connection)));
        spawn_local(run(Rc::clone(&connection)));
        spawn_local({
            // The upstream's SETTINGS, which say how many requests it takes, are what it sends first.
            let (traffic, released) = (Rc::clone(&traffic), Rc::clone(&released));
            async move {
                traffic.first_read().await;
                released.notify_waiters();
            }
        });
        Ok(Rc::new(Self {
            sender,
            connection,
            traffic,
            streams: Cell::new(0),
            suspect_since: Cell::new(None),
            idle_since: Cell::new(Instant::now()),
            released,
        }))
    }

    /// A place for one more request, if there is one.
    pub(super) fn stream(self: &Rc<Self>) -> Option<Http2Stream> {
        if self.is_suspect() || self.is_closed() || self.streams.get() >= self.max_streams() {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        let reads = self.traffic.reads();
        Some(Http2Stream { connection: Rc::clone(self), reads, complete: false })
    }

    /// How many requests it may carry. One until the upstream has said how many it takes.
    fn max_streams(&self) -> usize {
        match self.traffic.reads() {
            0 => 1,
            _ => self.connection.borrow().as_ref().map_or(0, |connection| {
                connection.current_max_send_streams().min(MAX_STREAMS as usize)
            }),
        }
    }

    /// Whether it may be dead: a request was given up, and nothing came from the upstream since.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect_since.get().is_some_and(|reads| reads == self.traffic.reads())
    }

    /// Whether it will carry no further request: it was closed, the upstream is closing it (GOAWAY), or it
    /// is suspect and nothing is in flight on it that would get a response.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed() || (self.is_suspect() && self.streams.get() == 0)
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Since when it carries no request; `None` if it does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }
}

/// Runs a connection to its end. Its errors reach whoever waits for a response.
async fn run(connection: Rc<RefCell<Option<HyperConnection>>>) {
    poll_fn(|context| match connection.borrow_mut().as_mut() {
        Some(connection) => Pin::new(connection).poll(context).map(drop),
        None => Poll::Ready(()),
    })
    .await;
    connection.take();
}

impl Http2Stream {
    /// Sends a request.
    pub(super) async fn send(
        &self,
        request: Request<AttemptBody>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let sent = self.connection.sender.clone().try_send_request(request).await;
        let response = sent.map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            UpstreamError::of_http2(failed.into_error(), unsent)
        })?;
        let headers = response.headers();
        if section_size(headers) > MAX_HEADER_SECTION || headers.len() > MAX_HEADER_FIELDS {
            return Err(UnusableResponse::HeaderSectionTooLarge.into());
        }
        Ok(response)
    }

    /// The response has ended.
    pub(super) fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        // A request that was given up without a word from the upstream since: the connection may be
        // dead, and the next request must not find out in its turn.
        if !self.complete && connection.traffic.reads() == self.reads {
            connection.suspect_since.set(Some(self.reads));
        }
        connection.streams.set(connection.streams.get() - 1);
        connection.idle_since.set(Instant::now());
        connection.released.notify_waiters();
    }
}

/// The size of a header section as HTTP/1.1 writes it, in bytes.
pub(super) fn section_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}
