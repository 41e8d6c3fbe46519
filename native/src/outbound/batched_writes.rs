//! Batches the writes of an HTTP/2 connection: frames that are written together become one TLS record and
//! one system call.
//!
//! The h2 crate writes the header section of a request, its body and the end of the stream one by one, and
//! waits for each to be flushed. This stream collects them, and a separate task writes them as soon as
//! the connection's task yields.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_local;

/// A stream whose writes are batched.
#[derive(Debug)]
pub(super) struct BatchedWrites<S>(Rc<RefCell<State<S>>>);

#[derive(Debug)]
struct State<S> {
    stream: S,
    /// The bytes that are collected and not yet flushed.
    pending: Vec<u8>,
    /// The number of bytes of `pending` that are written.
    written: usize,
    /// Wakes the task that writes.
    writer: Option<Waker>,
    /// Wakes the connection when more can be collected.
    connection: Option<Waker>,
    error: Option<io::Error>,
    /// Whether the connection was dropped, so that the task ends.
    closed: bool,
}

/// The maximum of collected bytes; the connection waits when it is reached.
const LIMIT: usize = 64 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> BatchedWrites<S> {
    pub(super) fn new(stream: S) -> Self {
        let state = Rc::new(RefCell::new(State {
            stream,
            pending: Vec::new(),
            written: 0,
            writer: None,
            connection: None,
            error: None,
            closed: false,
        }));
        spawn_local(write(Rc::downgrade(&state)));
        Self(state)
    }
}

/// Writes the collected bytes, until the connection is dropped.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(state: Weak<RefCell<State<S>>>) {
    poll_fn(|context| {
        let Some(state) = state.upgrade() else {
            return Poll::Ready(());
        };
        let state = &mut *state.borrow_mut();
        if state.closed {
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(error)) = state.poll_write_pending(context) {
            state.error = Some(error);
            state.wake_connection();
        }
        if !state.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
            state.writer = Some(context.waker().clone());
        }
        Poll::Pending
    })
    .await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> State<S> {
    fn poll_write_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.pending.clear();
        self.written = 0;
        self.wake_connection();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn wake_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
    }

    /// Collects as much of `slices` as the limit allows.
    fn poll_collect(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let room = LIMIT.saturating_sub(self.pending.len());
        if room == 0 {
            self.connection = Some(context.waker().clone());
            return Poll::Pending;
        }
        let before = self.pending.len();
        for slice in slices {
            let left = room - (self.pending.len() - before);
            self.pending.extend_from_slice(slice.get(..left).unwrap_or(slice));
        }
        if let Some(writer) = &self.writer {
            writer.wake_by_ref();
        }
        Poll::Ready(Ok(self.pending.len() - before))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BatchedWrites<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for BatchedWrites<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_collect(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_collect(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Only reports errors: the writing task flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        ready!(state.poll_write_pending(context))?;
        Pin::new(&mut state.stream).poll_shutdown(context)
    }
}

impl<S> Drop for BatchedWrites<S> {
    fn drop(&mut self) {
        let state = &mut *self.0.borrow_mut();
        state.closed = true;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(flavor = "local")]
    async fn consecutive_writes_are_batched() {
        let (near, mut far) = duplex(1024);
        let mut batched = BatchedWrites::new(near);
        for part in ["one", "two", "three"] {
            batched.write_all(part.as_bytes()).await.unwrap();
            batched.flush().await.unwrap();
        }
        let mut received = [0; 1024];
        let count = far.read(&mut received).await.unwrap();
        assert_eq!(&received[..count], b"onetwothree");
    }

    #[tokio::test(flavor = "local")]
    async fn a_peer_that_does_not_read_causes_backpressure_without_loss() {
        const LENGTH: usize = 5 * LIMIT;
        let (near, mut far) = duplex(16);
        let mut batched = BatchedWrites::new(near);
        let writing = async {
            batched.write_all(&vec![7; LENGTH]).await.unwrap();
            assert!(batched.0.borrow().pending.len() <= LIMIT);
            batched.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(writing, far.read_to_end(&mut received));
        read.unwrap();
        assert!(received.len() == LENGTH && received.iter().all(|byte| *byte == 7));
    }

    #[tokio::test(flavor = "local")]
    async fn a_failed_write_is_reported_to_the_next_one() {
        let (near, far) = duplex(16);
        drop(far);
        let mut batched = BatchedWrites::new(near);
        batched.write_all(b"first").await.unwrap();
        tokio::task::yield_now().await;
        assert!(batched.write_all(b"second").await.is_err());
    }
}
