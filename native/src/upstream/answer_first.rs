//! An upstream's answer comes before the news that it did not want the whole request.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection on which a write that fails waits until everything has been read.
///
/// An upstream may answer and close before it has read all of a request (413, 401), and writing then
/// fails (RFC 9112 section 9.6). The answer is there to be read, but hyper gives up at the first
/// error, whichever side it comes from.
#[derive(Debug)]
pub(super) struct AnswerFirst<I> {
    io: I,
    /// Writing failed, and reading has not ended.
    failed: Option<Failure>,
    /// Nothing more can be read.
    read_to_end: bool,
}

#[derive(Debug)]
struct Failure {
    why: io::Error,
    /// Runs out when nothing was read for a while.
    patience: Pin<Box<Sleep>>,
}

/// How long an answer may be read no further before a failed write ends the connection after all.
/// Without an end, one whose answer has come already would be kept for good. Shorter, and the
/// rest of a long answer to a slow client could be lost.
const PATIENCE: Duration = Duration::from_secs(10);

impl<I> AnswerFirst<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, failed: None, read_to_end: false }
    }
}

impl<I: AsyncWrite + Unpin> AnswerFirst<I> {
    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.io), context) {
                Poll::Ready(Err(why)) if !self.read_to_end => {
                    self.failed = Some(Failure { why, patience: Box::pin(sleep(PATIENCE)) });
                    // There may be more to read than at the last look.
                    context.waker().wake_by_ref();
                }
                other => return other,
            }
        }
        if let Some(failure) = &mut self.failed {
            ready!(failure.patience.as_mut().poll(context));
        }
        self.read_to_end = true;
        Poll::Ready(Err(self.failed.take().map_or(io::ErrorKind::BrokenPipe.into(), |f| f.why)))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for AnswerFirst<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let polled = ready!(Pin::new(&mut this.io).poll_read(context, into));
        if polled.is_ok() && into.filled().len() > before {
            if let Some(failure) = &mut this.failed {
                failure.patience.as_mut().reset(Instant::now() + PATIENCE);
            }
            return Poll::Ready(polled);
        }
        this.read_to_end = true;
        // The system tells of a reset once. To the reader this looks like an orderly end then, and a
        // body that is cut short like a complete one.
        Poll::Ready(this.failed.take().map_or(polled, |failure| Err(failure.why)))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for AnswerFirst<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |io, context| io.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |io, context| io.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Join, empty, join};

    /// Reads as `answer` does, and cannot be written to.
    fn broken(answer: &[u8]) -> AnswerFirst<Join<&[u8], Broken>> {
        AnswerFirst::new(join(answer, Broken))
    }

    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_came_is_read_although_writing_failed() {
        let mut io = broken(b"answer");
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut io).poll_write(&mut context, b"request").is_pending());
        let mut answer = Vec::new();
        let end = io.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!(
            (answer.as_slice(), end.kind()),
            (&b"answer"[..], io::ErrorKind::ConnectionReset)
        );
        assert!(io.write_all(b"more").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_after_all_if_nobody_reads() {
        let start = Instant::now();
        let error = broken(b"answer").write_all(b"request").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!((PATIENCE..2 * PATIENCE).contains(&start.elapsed()));
    }

    #[tokio::test]
    async fn an_orderly_end_stays_one() {
        let mut io = AnswerFirst::new(join(&b"answer"[..], empty()));
        io.write_all(b"request").await.unwrap();
        let mut answer = Vec::new();
        assert_eq!(io.read_to_end(&mut answer).await.unwrap(), 6);
    }
}
