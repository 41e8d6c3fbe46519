//! The stream of a client's connection, shared by hyper, which reads and writes it, and by what
//! notices that the client has closed it.

use super::lingering_close::LingeringClose;
use crate::os::stream::Stream;
use crate::outbound::ClientConnection;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A stream, and what is known of the client at its other end.
#[derive(Clone, Debug)]
pub(super) struct ClientStream(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    stream: Stream,
    /// Whether hyper is waiting to read, and so notices that the client has closed the connection.
    reading: bool,
    connection: Rc<ClientConnection>,
    /// Close without lingering: the client has closed its side, or no response could be lost.
    close_at_once: bool,
    closing: Option<LingeringClose>,
    /// When to check again whether the client has closed the connection, while nothing is read.
    probe: Option<Pin<Box<Sleep>>>,
}

/// How often to check whether a client that is not being read from has closed the connection:
/// nothing else tells.
const PROBE: Duration = Duration::from_secs(2);

impl ClientStream {
    pub(super) fn new(stream: Stream, connection: Rc<ClientConnection>) -> Self {
        Self(Rc::new(RefCell::new(State {
            stream,
            reading: false,
            connection,
            close_at_once: false,
            closing: None,
            probe: None,
        })))
    }

    /// Whether the connection is closed without waiting for what the client still sends.
    pub(super) fn close_at_once(&self, at_once: bool) {
        self.0.borrow_mut().close_at_once = at_once;
    }

    /// Ready when the client has closed the connection and hyper cannot notice, as it is not
    /// reading.
    pub(super) fn poll_closed_by_client(&self, context: &mut Context<'_>) -> Poll<()> {
        let State { stream, reading, closing, probe, .. } = &mut *self.0.borrow_mut();
        if *reading || closing.is_some() {
            return Poll::Pending;
        }
        let probe = probe.get_or_insert_with(|| Box::pin(sleep(PROBE)));
        loop {
            ready!(probe.as_mut().poll(context));
            // Ready at once if the stream is readable; if it is not, the client has not closed it.
            if let Poll::Ready(Ok(true) | Err(_)) = pin!(stream.is_read_closed()).poll(context) {
                return Poll::Ready(());
            }
            probe.as_mut().reset(Instant::now() + PROBE);
        }
    }

    /// Closes the writing side.
    pub(super) async fn shut_down(mut self) {
        self.close_at_once(true);
        // An error changes nothing: the connection is dropped next.
        let _ = self.shutdown().await;
    }

    /// Resets the connection when it is dropped: to a client of HTTP/1.0 the end of the connection
    /// is the end of the body, and only a reset shows that the body was truncated.
    pub(super) fn reset_on_drop(&self) {
        // If that fails, the connection is closed as usual.
        let _ = self.0.borrow().stream.tcp().map(TcpStream::set_zero_linger);
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut state.stream).poll_read(context, into);
        state.reading = read.is_pending();
        if read.is_ready() && into.filled().len() == before {
            state.close_at_once = true;
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State { stream, connection, close_at_once, closing, .. } = &mut *self.0.borrow_mut();
        if !*close_at_once && connection.expects_more() {
            return closing.get_or_insert_default().poll(context, stream).map(Ok);
        }
        // TLS needs a close_notify: without it the stream looks truncated (RFC 8446 section 6.1).
        match stream {
            Stream::Tls(_) => Pin::new(stream).poll_shutdown(context),
            _ => Poll::Ready(Ok(())),
        }
    }
}
