//! The layers below and above TLS on a connection of the HTTP/2 upstream: a socket that can fall
//! silent, and a counter of received frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A socket that, once silent, reads as before and sends nothing more, not even a FIN: like a machine
/// that disappeared behind a load balancer or a NAT.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) silent: Arc<AtomicBool>,
}

/// A TLS connection that calls `count` with the type and the flags of each received frame.
pub(super) struct Counted<F> {
    pub(super) stream: TlsStream<Socket>,
    pub(super) count: F,
    scanner: Scanner,
}

/// Finds where frames begin (RFC 9113 section 4.1).
#[derive(Debug)]
struct Scanner {
    /// How many bytes to skip before the next frame header: the connection preface, or a payload.
    skip: usize,
    header: Vec<u8>,
}

/// The length of the client's connection preface (RFC 9113 section 3.4).
pub(super) const PREFACE: usize = 24;

/// The length of a frame's header.
pub(super) const FRAME_HEADER: usize = 9;

impl<F> Counted<F> {
    pub(super) fn new(stream: TlsStream<Socket>, count: F) -> Self {
        Self { stream, count, scanner: Scanner { skip: PREFACE, header: Vec::new() } }
    }
}

impl Scanner {
    fn scan(&mut self, bytes: &[u8], mut found: impl FnMut(u8, u8)) {
        for byte in bytes {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.header.push(*byte);
            if let [a, b, c, kind, flags, _, _, _, _] = self.header[..] {
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.header.clear();
                found(kind, flags);
            }
        }
    }
}

impl<F: FnMut(u8, u8) + Unpin> AsyncRead for Counted<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.scanner.scan(&buffer.filled()[before..], &mut this.count);
        polled
    }
}

impl<F: Unpin> AsyncWrite for Counted<F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.silent.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.silent.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_split() {
        let preface = [b'x'; PREFACE];
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let ack = [0, 0, 0, 4, 1, 0, 0, 0, 0];
        let bytes = [&preface[..], &ping, &ack, &ping].concat();
        for piece in 1..bytes.len() {
            let mut scanner = Scanner { skip: PREFACE, header: Vec::new() };
            let mut found = Vec::new();
            for bytes in bytes.chunks(piece) {
                scanner.scan(bytes, |kind, flags| found.push((kind, flags)));
            }
            assert_eq!(found, [(6, 0), (4, 1), (6, 0)]);
        }
    }
}
