//! Lingering close: closes a connection in such a way that the client receives the last response.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Closes the writing side, and reads and discards for a limited time what the peer still sends.
///
/// A client may still be sending a body that the proxy does not read (413, 401). Closing the
/// connection at once would reset it: the client would fail to send before it reads the response, or
/// the reset would discard the response (RFC 9112 section 9.6).
#[derive(Debug)]
pub(super) struct LingeringClose {
    shut_down: bool,
    deadline: Pin<Box<Sleep>>,
}

impl Default for LingeringClose {
    fn default() -> Self {
        Self { shut_down: false, deadline: Box::pin(sleep(LINGER)) }
    }
}

impl LingeringClose {
    /// Ready when the peer has closed the connection, or at the timeout.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<()> {
        if self.poll_finish(context, stream).is_ready() {
            return Poll::Ready(());
        }
        self.deadline.as_mut().poll(context)
    }

    fn poll_finish<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        if !self.shut_down {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            self.shut_down = true;
        }
        let mut block = [0; BLOCK];
        loop {
            let mut block = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut block))?;
            if block.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Closes `stream` with a lingering close.
pub(super) async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut closing = LingeringClose::default();
    poll_fn(|context| closing.poll(context, stream)).await;
}

/// The timeout: long enough for a client to receive and read a response.
const LINGER: Duration = Duration::from_secs(2);

/// The size of the buffer for reading, in bytes.
const BLOCK: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn it_reads_until_the_peer_closes() {
        let (mut client, mut server) = duplex(1);
        let sent = tokio::spawn(async move {
            let mut response = Vec::new();
            client.read_to_end(&mut response).await.unwrap();
            client.write_all(&[0; 3 * BLOCK]).await
        });
        let start = Instant::now();
        linger(&mut server).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        sent.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_bounded() {
        let (_client, mut server) = duplex(1);
        let start = Instant::now();
        linger(&mut server).await;
        assert!((LINGER..2 * LINGER).contains(&start.elapsed()));
    }
}
