//! The stream of a client's connection. It is shared by hyper, which reads and writes it, and by the
//! connection's own task, which detects that the client has closed it.

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

/// A client's stream, and the state of its connection. Clones share both.
#[derive(Clone, Debug)]
pub(super) struct ClientStream(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    stream: Stream,
    /// Whether hyper is waiting to read. It then detects by itself that the client has closed the
    /// connection.
    reading: bool,
    connection: Rc<ClientConnection>,
    /// Whether to close without lingering, because the client has closed its side, or because there
    /// is no response that could be lost.
    close_at_once: bool,
    /// How long a lingering close lasts if the client keeps sending.
    linger: Duration,
    closing: Option<LingeringClose>,
    /// The timer of the next check whether the client has closed the connection, while hyper is not
    /// reading.
    probe: Option<Pin<Box<Sleep>>>,
}

/// How often to check whether the client has closed the connection while hyper is not reading from it:
/// hyper does not detect that then.
const PROBE: Duration = Duration::from_secs(2);

impl ClientStream {
    /// `linger` is how long a lingering close lasts if the client keeps sending.
    pub(super) fn new(stream: Stream, connection: Rc<ClientConnection>, linger: Duration) -> Self {
        Self(Rc::new(RefCell::new(State {
            stream,
            reading: false,
            connection,
            close_at_once: false,
            linger,
            closing: None,
            probe: None,
        })))
    }

    /// Sets whether the connection is closed without a lingering close.
    pub(super) fn close_at_once(&self, at_once: bool) {
        self.0.borrow_mut().close_at_once = at_once;
    }

    /// Ready when the client has closed the connection and hyper cannot detect that, because it is not
    /// reading.
    pub(super) fn poll_closed_by_client(&self, context: &mut Context<'_>) -> Poll<()> {
        let State { stream, reading, closing, probe, .. } = &mut *self.0.borrow_mut();
        if *reading || closing.is_some() {
            return Poll::Pending;
        }
        let probe = probe.get_or_insert_with(|| Box::pin(sleep(PROBE)));
        loop {
            ready!(probe.as_mut().poll(context));
            // Pending if the stream is not readable: then the client has not closed it.
            if let Poll::Ready(Ok(true) | Err(_)) = pin!(stream.is_read_closed()).poll(context) {
                return Poll::Ready(());
            }
            probe.as_mut().reset(Instant::now() + PROBE);
        }
    }

    /// Closes the writing side.
    pub(super) async fn shut_down(mut self) {
        self.close_at_once(true);
        // An error does not matter: the connection is dropped next.
        let _ = self.shutdown().await;
    }

    /// Lets the connection be reset when it is dropped: for an HTTP/1.0 client the end of the
    /// connection is the end of the body, and only a reset shows that the body was truncated.
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
        let State { stream, connection, close_at_once, linger, closing, .. } =
            &mut *self.0.borrow_mut();
        if !*close_at_once && connection.expects_more() {
            let closing = closing.get_or_insert_with(|| LingeringClose::new(*linger));
            return closing.poll(context, stream).map(Ok);
        }
        // Without a close_notify the TLS stream looks truncated (RFC 8446 section 6.1).
        match stream {
            Stream::Tls(_) => Pin::new(stream).poll_shutdown(context),
            _ => Poll::Ready(Ok(())),
        }
    }
}
