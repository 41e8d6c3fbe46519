//! The stream of a connection to an upstream. It counts reads and writes, and after a failed write it still
//! allows reading a response that the upstream sent before it closed the connection.

use crate::os::stream::Stream;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::sync::Notify;

/// The maximum of one read, in bytes: 64 KiB and a header section, so that a response of that size is read
/// at once. Without it hyper would use a buffer of the header section limit for each download.
const MAX_READ: u64 = 72 * 1024;

/// The reads and writes of a connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// The number of reads that returned data.
    reads: Cell<u64>,
    /// The number of writes.
    writes: Cell<u64>,
    /// The number of bytes that may still be read before the header section of a response is complete.
    before_response: Cell<usize>,
    /// Whether more bytes than that were read.
    exceeded: Cell<bool>,
    /// Notified of the first read, and when the stream is closed.
    first_read: Notify,
    closed: Cell<bool>,
}

/// A [`Stream`] whose traffic is counted.
#[derive(Debug)]
pub(super) struct UpstreamStream {
    stream: Take<Stream>,
    traffic: Rc<Traffic>,
    /// Whether a write has failed. Nothing more is written then, but reads continue: the upstream may have
    /// sent a response before it closed the connection (RFC 9112 section 9.6).
    write_failed: bool,
}

impl UpstreamStream {
    pub(super) fn new(stream: Stream) -> (Self, Rc<Traffic>) {
        let traffic = Rc::<Traffic>::default();
        traffic.response_received();
        let stream = stream.take(MAX_READ);
        (Self { stream, traffic: Rc::clone(&traffic), write_failed: false }, traffic)
    }

    /// Counts a write, or records that it has failed.
    fn record_write(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
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
    /// The number of reads that returned data.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// The number of writes.
    pub(super) fn writes(&self) -> u64 {
        self.writes.get()
    }

    /// Records that a request is sent. At most `limit` bytes may be read before the header section of its
    /// response is complete.
    pub(super) fn expect_response(&self, limit: usize) {
        self.before_response.set(limit);
    }

    /// Records that the header section of the response was received; there is no limit for the rest.
    pub(super) fn response_received(&self) {
        self.before_response.set(usize::MAX);
    }

    /// Whether the limit was exceeded.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// Waits until data was read or the stream is closed.
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
        self.record_write(polled)
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
        self.record_write(polled)
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
