//! The stream of a connection to an upstream: tells what came and went, and lets a response be read
//! that the upstream sent before it stopped reading the request.

use crate::os::stream::Stream;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::sync::Notify;

/// How much is read at once, in bytes: 64 KiB and room for a header section, so that a response of that size
/// is read at once. hyper's own limit is that of header sections, and that much memory for each download is
/// of no use.
const MAX_READ: u64 = 72 * 1024;

/// What has come and gone on a connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// How often something was read.
    reads: Cell<u64>,
    /// How often something was written.
    writes: Cell<u64>,
    /// How many bytes may still be read before the header section of a response is complete.
    before_response: Cell<usize>,
    /// More came than that.
    exceeded: Cell<bool>,
    /// Told of the first read, and of the end.
    first_read: Notify,
    closed: Cell<bool>,
}

/// A [`Stream`] whose traffic is counted.
#[derive(Debug)]
pub(super) struct UpstreamStream {
    stream: Take<Stream>,
    traffic: Rc<Traffic>,
    /// A write has failed. The upstream may have sent a response before it closed (RFC 9112 section
    /// 9.6): nothing more is written, and reading tells how it ends.
    write_failed: bool,
}

impl UpstreamStream {
    pub(super) fn new(stream: Stream) -> (Self, Rc<Traffic>) {
        let traffic = Rc::<Traffic>::default();
        traffic.has_response();
        let stream = stream.take(MAX_READ);
        (Self { stream, traffic: Rc::clone(&traffic), write_failed: false }, traffic)
    }

    fn written(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match ready!(polled) {
            Ok(count) => {
                self.traffic.writes.set(self.traffic.writes.get() + 1);
                Poll::Ready(Ok(count))
            }
            Err(_) => {
                self.write_failed = true;
                Poll::Pending
            }
        }
    }
}

impl Traffic {
    /// How often something was read; at first 0.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// How often something was written; at first 0.
    pub(super) fn writes(&self) -> u64 {
        self.writes.get()
    }

    /// A request is sent: at most `limit` bytes may come before the header section of its response is
    /// complete.
    pub(super) fn expect_response(&self, limit: usize) {
        self.before_response.set(limit);
    }

    /// The header section of the response has come: what follows has no limit.
    pub(super) fn has_response(&self) {
        self.before_response.set(usize::MAX);
    }

    /// Whether more than the limit came, and so nothing of use.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// Waits until something was read, or nothing will be.
    pub(super) async fn first_read(&self) {
        let notified = self.first_read.notified();
        if self.reads.get() == 0 && !self.closed.get() {
            notified.await;
        }
    }
}

impl Drop for UpstreamStream {
    fn drop(&mut self) {
        self.traffic.closed.set(true);
        self.traffic.first_read.notify_waiters();
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        self.stream.set_limit(MAX_READ);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, into));
        let count = into.filled().len() - before;
        if count > 0 {
            if self.traffic.before_response.get() < count {
                self.traffic.exceeded.set(true);
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if self.traffic.before_response.get() != usize::MAX {
                self.traffic.before_response.update(|left| left - count);
            }
            let reads = self.traffic.reads.get();
            self.traffic.reads.set(reads + 1);
            if reads == 0 {
                self.traffic.first_read.notify_waiters();
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let polled = Pin::new(self.stream.get_mut()).poll_write(context, bytes);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let polled = Pin::new(self.stream.get_mut()).poll_write_vectored(context, slices);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let flushed = ready!(Pin::new(self.stream.get_mut()).poll_flush(context));
        if flushed.is_err() {
            self.write_failed = true;
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }
}
