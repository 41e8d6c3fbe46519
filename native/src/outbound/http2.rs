//! HTTP/2 connections to upstreams, with hyper's client.

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

/// The flow-control window of a stream, in bytes: the maximum of a response that is received before the
/// client reads it. A larger window is faster over long distances, because a whole window can arrive in
/// one round trip, but a client that does not read takes up as much memory.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The maximum number of concurrent requests on a connection. Their windows fit the connection's window,
/// so that a client that does not read cannot block the responses of others (RFC 9113 section 5.2).
const MAX_STREAMS: u32 = 31;

/// The flow-control window of a connection, in bytes: that of all its streams, and one more.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (MAX_STREAMS + 1);

/// The maximum size of a received frame, in bytes.
const MAX_FRAME: u32 = 64 * 1024;

/// The maximum size of a received header section, as HTTP/2 counts it. It is larger than the maximum that
/// is forwarded, so that a header section between the two fails only its own request.
const MAX_HEADER_LIST: u32 = 1024 * 1024;

/// The interval of PING frames on a connection with requests in flight, and the timeout of their
/// acknowledgement.
const PING: Duration = Duration::from_secs(10);

/// A connection for several concurrent requests. It is closed when the last handle is dropped.
#[derive(Debug)]
pub(super) struct Http2Connection {
    sender: SendRequest<AttemptBody>,
    connection: Rc<RefCell<Option<HyperConnection>>>,
    traffic: Rc<Traffic>,
    streams: Cell<usize>,
    /// The number of reads when a request was cancelled without anything received from the upstream. As
    /// long as nothing more is read, the connection may be dead.
    suspect_since: Cell<Option<u64>>,
    /// The time since which there are no requests, if there are none.
    idle_since: Cell<Instant>,
    /// Notified when there is capacity for another request.
    released: Rc<Notify>,
}

type HyperConnection =
    Connection<TokioIo<BatchedWrites<UpstreamStream>>, AttemptBody, LocalExecutor>;

/// The stream of one request on a connection.
#[derive(Debug)]
pub(super) struct Http2Stream {
    connection: Rc<Http2Connection>,
    /// The number of reads of the connection before the request.
    reads: u64,
    complete: bool,
}

/// Spawns hyper's tasks on this thread.
#[derive(Clone, Debug)]
struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(async { drop(future.await) });
    }
}

impl Http2Connection {
    /// Starts HTTP/2 on `stream`. `released` is notified whenever there is capacity for another request.
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
            // The upstream sends its SETTINGS first, with the maximum of concurrent requests.
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

    /// A stream for one more request, if there is capacity.
    pub(super) fn stream(self: &Rc<Self>) -> Option<Http2Stream> {
        if self.is_suspect() || self.is_closed() || self.streams.get() >= self.max_streams() {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        let reads = self.traffic.reads();
        Some(Http2Stream { connection: Rc::clone(self), reads, complete: false })
    }

    /// The maximum of concurrent requests: one until the upstream has sent its SETTINGS.
    fn max_streams(&self) -> usize {
        match self.traffic.reads() {
            0 => 1,
            _ => self.connection.borrow().as_ref().map_or(0, |connection| {
                connection.current_max_send_streams().min(MAX_STREAMS as usize)
            }),
        }
    }

    /// Whether the connection may be dead: a request was cancelled, and nothing was received since.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect_since.get().is_some_and(|reads| reads == self.traffic.reads())
    }

    /// Whether no further request can use the connection: it is closed, the upstream is closing it
    /// (GOAWAY), or it may be dead and has no request in flight whose response could show the opposite.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed() || (self.is_suspect() && self.streams.get() == 0)
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The time since which the connection is idle; `None` if it has requests in flight.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }
}

/// Runs a connection to its end. hyper also returns its errors to the requests that wait for a response.
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
            UpstreamError::from_http2(failed.into_error(), unsent)
        })?;
        let headers = response.headers();
        if section_size(headers) > MAX_HEADER_SECTION || headers.len() > MAX_HEADER_FIELDS {
            return Err(UnusableResponse::HeaderSectionTooLarge.into());
        }
        Ok(response)
    }

    /// Records that the response has ended.
    pub(super) fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        // The request was cancelled and nothing was received since it was sent: the connection may be
        // dead, so the next request must not use it.
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
