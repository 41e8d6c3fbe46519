use super::{Fields, Framing, Stream};
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Writes a head and frames the body after it (RFC 9112 sections 6 and 7.1).
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// What goes before any data: a head, the beginning of a chunk.
    ahead: Vec<u8>,
    written: usize,
    /// What is left of the chunk that has begun.
    chunk: usize,
    finished: bool,
}

const LINE_END: &[u8] = b"\r\n";

impl Default for Encoder {
    fn default() -> Self {
        Self { framing: Framing::Empty, ahead: Vec::new(), written: 0, chunk: 0, finished: true }
    }
}

impl Encoder {
    /// Begins a message with a body framed like this. The head goes into what this returns; it may
    /// hold another message, one without a body, that is not yet written.
    pub fn begin(&mut self, framing: Framing) -> &mut Vec<u8> {
        (self.framing, self.chunk, self.finished) = (framing, 0, false);
        &mut self.ahead
    }

    /// Writes some of `data`, which is not empty; how much, which may be nothing.
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_data(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let chunked = self.framing == Framing::Chunked;
        if chunked && self.chunk == 0 {
            self.chunk = data.len();
            // Writing to a Vec cannot fail.
            let _ = write!(self.ahead, "{:x}\r\n", data.len());
        }
        let data = match chunked {
            true => data.get(..self.chunk).unwrap_or(data),
            false => data,
        };
        let end = if chunked && data.len() == self.chunk { LINE_END } else { b"" };
        let ahead = self.ahead.get(self.written..).unwrap_or_default();
        let slices = [ahead, data, end].map(IoSlice::new);
        let from = usize::from(ahead.is_empty());
        let to = if end.is_empty() { 2 } else { 3 };
        let slices = slices.get(from..to).unwrap_or_default();
        let mut count = match slices {
            [one] => ready!(Pin::new(stream).poll_write(context, one))?,
            _ => ready!(Pin::new(stream).poll_write_vectored(context, slices))?,
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_ahead = count.min(ahead.len());
        self.wrote_ahead(of_ahead);
        count -= of_ahead;
        let of_data = count.min(data.len());
        if chunked {
            self.chunk -= of_data;
            if self.chunk == 0 {
                self.ahead.extend_from_slice(end.get(count - of_data..).unwrap_or_default());
            }
        }
        Poll::Ready(Ok(of_data))
    }

    /// Writes what is left, and the end of the body with `trailers`, where its framing has one.
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_finish(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        trailers: &Fields,
    ) -> Poll<io::Result<()>> {
        if !self.finished {
            self.finished = true;
            if self.framing == Framing::Chunked {
                self.ahead.extend_from_slice(b"0\r\n");
                self.ahead.extend_from_slice(trailers.as_bytes());
                self.ahead.extend_from_slice(LINE_END);
            }
        }
        self.poll_flush(context, stream)
    }

    /// Writes what goes before any data.
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<()>> {
        while let Some(ahead) = self.ahead.get(self.written..).filter(|ahead| !ahead.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(context, ahead))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.wrote_ahead(count),
            }
        }
        Pin::new(stream).poll_flush(context)
    }

    fn wrote_ahead(&mut self, count: usize) {
        self.written += count;
        if self.written == self.ahead.len() {
            self.written = 0;
            self.ahead.clear();
        }
    }
}
