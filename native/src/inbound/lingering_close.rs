//! Lingering close: closes a connection in such a way that the client receives the last response.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Closes the writing side, and reads and discards what the peer still sends: until it closes the
/// connection, has sent nothing for 2 to 4 s, or a deadline.
///
/// A client may still be sending a body that the proxy does not read (413, 401). Closing the
/// connection at once would reset it: the client would fail to send before it reads the response, or
/// the reset would discard the response (RFC 9112 section 9.6).
#[derive(Debug)]
pub(super) struct LingeringClose {
    shut_down: bool,
    /// The end of the current period of `IDLE_TIMEOUT`.
    timer: Pin<Box<Sleep>>,
    /// Whether the peer has sent anything in this period.
    received: bool,
    deadline: Instant,
}

impl LingeringClose {
    /// Begins now. `timeout` is for a peer that keeps sending.
    pub(super) fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + IDLE_TIMEOUT));
        Self { shut_down: false, timer, received: false, deadline: now + timeout }
    }

    /// Ready when the peer has closed the connection, or at a timeout.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<()> {
        if self.poll_finish(context, stream).is_ready() {
            return Poll::Ready(());
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            let next = self.timer.deadline() + IDLE_TIMEOUT;
            if !mem::take(&mut self.received) || next > self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(next);
        }
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
            self.received = true;
        }
    }
}

/// Closes `stream` with a lingering close.
pub(super) async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut closing = LingeringClose::new(TIMEOUT);
    poll_fn(|context| closing.poll(context, stream)).await;
}

/// The timeout if the peer sends nothing: long enough for a client to receive and read a response.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The timeout if the peer keeps sending. It is less than the default of `--drain-timeout`, so that such a peer
/// does not make a drain fail.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// The size of the buffer for reading, in bytes.
const BLOCK: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

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
    async fn a_peer_that_sends_nothing_is_awaited_for_2_seconds() {
        let (_client, mut server) = duplex(1);
        let start = Instant::now();
        linger(&mut server).await;
        assert!((IDLE_TIMEOUT..2 * IDLE_TIMEOUT).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_falls_silent_is_awaited_for_2_to_4_seconds() {
        let (mut client, mut server) = duplex(1);
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            sleep(IDLE_TIMEOUT / 2).await;
            client.write_all(b"x").await.unwrap();
            client
        });
        linger(&mut server).await;
        drop(sending);
        let waited = start.elapsed();
        assert!((2 * IDLE_TIMEOUT..3 * IDLE_TIMEOUT).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_keeps_sending_is_read_for_20_seconds() {
        let (mut client, mut server) = duplex(1);
        let start = Instant::now();
        let sending = async move {
            loop {
                client.write_all(b"x").await.unwrap();
                sleep(IDLE_TIMEOUT / 2).await;
            }
        };
        tokio::select! {
            () = linger(&mut server) => {}
            () = sending => {}
        }
        assert!((TIMEOUT - IDLE_TIMEOUT..=TIMEOUT).contains(&start.elapsed()));
    }
}
