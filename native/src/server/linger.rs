//! Closing a connection so that the last answer on it arrives.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection that, once it is shut down, takes what the peer still sends, for a while.
///
/// A client may be sending a body that nobody wants any more (413, 401). Closed at once, its
/// connection is reset, and the client fails to send before it looks for the answer, or the answer
/// is lost with the reset (RFC 9112 section 9.6).
#[derive(Debug)]
pub(super) struct Lingering<I> {
    io: I,
    until: Option<Pin<Box<Sleep>>>,
}

/// Long enough for an answer to reach a client and to be noticed there.
const LINGER: Duration = Duration::from_secs(2);

/// Read at once of what nobody wants, in bytes.
const BLOCK: usize = 16 * 1024;

impl<I> Lingering<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, until: None }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lingering<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, into)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.until.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
        }
        let until = this.until.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut block = [MaybeUninit::uninit(); BLOCK];
        while until.as_mut().poll(context).is_pending() {
            let mut block = ReadBuf::uninit(&mut block);
            match ready!(Pin::new(&mut this.io).poll_read(context, &mut block)) {
                Ok(()) if !block.filled().is_empty() => {}
                // The peer has closed, too.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn it_takes_what_comes_until_the_peer_closes() {
        let (mut client, server) = duplex(1);
        let sent = tokio::spawn(async move {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            client.write_all(&[0; 3 * BLOCK]).await
        });
        let start = Instant::now();
        Lingering::new(server).shutdown().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        sent.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_ever() {
        let (_client, server) = duplex(1);
        let start = Instant::now();
        Lingering::new(server).shutdown().await.unwrap();
        assert!((LINGER..2 * LINGER).contains(&start.elapsed()));
    }
}
