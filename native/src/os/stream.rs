//! Byte streams: TCP, TLS over TCP, Unix sockets.

use std::io::{self, IoSlice};
#[cfg(unix)]
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::TlsStream;

/// A byte stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS within TLS, to an upstream through a forward proxy that is connected to over TLS. It is a
    /// separate variant so that it does not slow down the others.
    TlsWithin(Box<TlsStream<Stream>>),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// The underlying TCP connection, if there is one.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::TlsWithin(stream) => stream.get_ref().0.tcp(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

impl Stream {
    /// Waits until the peer has sent something, without reading it. Returns 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub async fn peek(&self) -> io::Result<usize> {
        #[cfg(unix)]
        if let Self::Unix(stream) = self {
            let mut byte = [MaybeUninit::uninit()];
            loop {
                stream.readable().await?;
                let peek = || socket2::SockRef::from(stream).peek(&mut byte);
                match stream.try_io(Interest::READABLE, peek) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    peeked => return peeked,
                }
            }
        }
        match self.tcp() {
            Some(stream) => stream.peek(&mut [0]).await,
            None => Ok(0),
        }
    }

    /// Waits until the stream is readable, and returns whether the peer has closed its sending side.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub async fn is_read_closed(&self) -> io::Result<bool> {
        #[cfg(unix)]
        if let Self::Unix(stream) = self {
            return Ok(stream.ready(Interest::READABLE).await?.is_read_closed());
        }
        match self.tcp() {
            Some(stream) => Ok(stream.ready(Interest::READABLE).await?.is_read_closed()),
            None => Ok(false),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
            Self::TlsWithin(stream) => Pin::new(stream).poll_read(context, into),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::TlsWithin(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::TlsWithin(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::TlsWithin(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::TlsWithin(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
