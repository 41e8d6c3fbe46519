//! The stream of a client's connection: shared by hyper, which reads and writes it, and by what watches
//! over the connection.

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

/// A stream, and what is known of its other end.
#[derive(Clone, Debug)]
pub(super) struct ClientStream(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    stream: Stream,
    /// Whether hyper waits for something to read, and so notices that the client has closed.
    reading: bool,
    connection: Rc<ClientConnection>,
    /// The client has closed its side, or there is nothing that it could miss.
    close_at_once: bool,
    closing: Option<LingeringClose>,
    /// When to look again whether the client is gone, while nothing is read.
    probe: Option<Pin<Box<Sleep>>>,
}

/// So often it is looked whether a client that is not read from has gone: nothing else tells.
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

    /// Ready when the client has gone and hyper cannot notice, as it has no reason to read.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        let State { stream, reading, closing, probe, .. } = &mut *self.0.borrow_mut();
        if *reading || closing.is_some() {
            return Poll::Pending;
        }
        let probe = probe.get_or_insert_with(|| Box::pin(sleep(PROBE)));
        loop {
            ready!(probe.as_mut().poll(context));
            // Where it is readable this is never a wait; where it is not, the client is there.
            if let Poll::Ready(Ok(true) | Err(_)) = pin!(stream.is_read_closed()).poll(context) {
                return Poll::Ready(());
            }
            probe.as_mut().reset(Instant::now() + PROBE);
        }
    }

    /// Says that nothing more comes.
    pub(super) async fn end(mut self) {
        self.close_at_once(true);
        // Whether the client hears of it or not, there is nothing more to do.
        let _ = self.shutdown().await;
    }

    /// Lets the connection break instead of ending when it is dropped: a client of HTTP/1.0, which takes
    /// the end of the connection for the end of a body, is told by nothing else that it is not whole.
    pub(super) fn reset_at_end(&self) {
        // Where that cannot be, it ends as always.
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
        // Of TLS the end has to be said: without that it looks truncated (RFC 8446 section 6.1).
        match stream {
            Stream::Tls(_) => Pin::new(stream).poll_shutdown(context),
            _ => Poll::Ready(Ok(())),
        }
    }
}
