//! Both directions of one request at once, with the client on one side and an upstream on the other.

use super::body::{Body, Taken};
use super::error::SendError;
use super::link::Link;
use crate::http1::{Answer, BodyError, Fields, Piece, Wire};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Upstreams may not know of 100 (Continue): a body is kept back no longer than curl does, and the Go
/// program.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who made the request.
#[derive(Debug)]
pub enum Caller<'a> {
    /// A client of the proxy.
    Client(&'a mut Wire),
    /// The proxy itself, which has no body to send, and does not go away.
    Proxy,
}

/// How far one attempt is with the body.
#[derive(Debug)]
pub(super) struct Sending {
    /// How much of what is kept it has sent, in bytes.
    position: usize,
    /// Keeps the body back until the upstream asks for it (RFC 9110 section 10.1.1).
    hold: Option<Pin<Box<Sleep>>>,
    /// Whether the client waits to be told to go on.
    tell: bool,
    /// Whether what comes next has to come from the client.
    starved: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All of it was sent.
    Whole,
    /// The upstream takes no more.
    Refused,
}

/// The answer to a request, its body to follow by [`deliver`](super::Upstream::deliver).
#[derive(Debug)]
pub struct Exchanged {
    /// Its head.
    pub answer: Answer,
    /// How much of the request's body went into it, so far.
    pub taken: Taken,
    pub(super) link: Link,
    pub(super) sending: Sending,
    /// Whether the caller can make use of trailers.
    pub(super) accepts_trailers: bool,
    /// Whether the connection can be of further use.
    pub(super) reusable: bool,
}

/// Why an answer was not delivered in whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The client went away, or what it sends is not framed as it should be.
    #[error("the client went away")]
    Gone,
    /// The upstream's answer is cut short. What came of it was delivered.
    #[error("the answer was cut short: {0}")]
    Cut(BodyError),
}

impl Caller<'_> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Client(wire) => wire.poll_gone(context),
            Self::Proxy => Poll::Pending,
        }
    }

    /// Waits for `other`, unless the caller goes away before.
    pub(super) async fn while_here<T>(
        &mut self,
        other: impl Future<Output = T>,
    ) -> Result<T, SendError> {
        let mut other = std::pin::pin!(other);
        poll_fn(|context| match other.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll_gone(context).map(|()| Err(SendError::Gone)),
        })
        .await
    }
}

impl Sending {
    /// Of an attempt that sends all of the body. `expected`: not before the upstream asks for it, and
    /// the client waits to be told.
    pub(super) fn new(expected: bool) -> Self {
        let hold = expected.then(|| Box::pin(sleep(CONTINUE_TIMEOUT)));
        Self { position: 0, hold, tell: expected, starved: false, end: None }
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.starved = false;
        self.end.get_or_insert(End::Refused);
    }

    /// Whether nothing is read from the client until the upstream does something: nobody else would
    /// notice that it is gone.
    fn leaves_client_unread(&self, body: &Body) -> bool {
        !self.starved || body.is_untouched()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.end == Some(End::Whole)
    }

    /// Sends as much as there is. Ready when there is no more to do.
    ///
    /// # Errors
    ///
    /// The client's body has no end.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        body: &mut Body,
        caller: &mut Caller<'_>,
        link: &mut Link,
    ) -> Poll<Result<(), SendError>> {
        while self.end.is_none() {
            match ready!(self.poll_step(context, body, caller, link)) {
                Ok(()) => {}
                Err(Trouble::Client(error)) => return Poll::Ready(Err(error)),
                // Its answer may have come before it closed (RFC 9112 section 9.6).
                Err(Trouble::Upstream) => self.stop(),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        body: &mut Body,
        caller: &mut Caller<'_>,
        link: &mut Link,
    ) -> Poll<Result<(), Trouble>> {
        self.starved = false;
        if self.is_held(context, link) {
            ready!(link.poll_flush(context))?;
            return Poll::Pending;
        }
        let kept = body.kept(self.position);
        if !kept.is_empty() {
            self.position += ready!(link.poll_write(context, kept))?;
            return Poll::Ready(Ok(()));
        }
        if body.has_ended() {
            ready!(link.poll_finish(context, body.trailers()))?;
            self.end = Some(End::Whole);
            return Poll::Ready(Ok(()));
        }
        let Caller::Client(client) = caller else {
            body.end(&Fields::default());
            return Poll::Ready(Ok(()));
        };
        body.ask();
        if std::mem::take(&mut self.tell) {
            client.begin_continue();
        }
        match client.poll_piece(context).map_err(from_client)? {
            Poll::Pending => {
                self.starved = true;
                if let Poll::Ready(Err(_)) = client.poll_flush(context) {
                    return Poll::Ready(Err(Trouble::Client(SendError::Gone)));
                }
                ready!(link.poll_flush(context))?;
                Poll::Pending
            }
            Poll::Ready(Piece::End) => {
                body.end(client.trailers());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Piece::Data) if body.keep(client.piece()) => {
                let length = client.piece().len();
                client.consume(length);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Piece::Data) => {
                self.position = 0;
                let count = ready!(link.poll_write(context, client.piece()))?;
                client.consume(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn is_held(&mut self, context: &mut Context<'_>, link: &Link) -> bool {
        if let Some(hold) = &mut self.hold {
            if !link.has_asked() && hold.as_mut().poll(context).is_pending() {
                return true;
            }
            self.hold = None;
        }
        false
    }
}

enum Trouble {
    Client(SendError),
    Upstream,
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Upstream
    }
}

fn from_client(error: BodyError) -> Trouble {
    Trouble::Client(match error {
        BodyError::Broken(_) => SendError::Gone,
        _ => SendError::Client(error.to_string()),
    })
}

/// Waits for the head of the answer, and sends the body meanwhile. `None`: it did not come until
/// `deadline`, and the body is still there for another attempt; a long upload is no failure.
pub(super) async fn answer(
    link: &mut Link,
    sending: &mut Sending,
    body: &mut Body,
    caller: &mut Caller<'_>,
    bodiless: bool,
    deadline: Option<Instant>,
) -> Result<Option<Answer>, SendError> {
    let mut deadline = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
    poll_fn(|context| {
        loop {
            let _ = sending.poll(context, body, caller, link)?;
            if sending.leaves_client_unread(body) && caller.poll_gone(context).is_ready() {
                return Poll::Ready(Err(SendError::Gone));
            }
            match link.poll_answer(context, bodiless)? {
                Poll::Ready(Some(answer)) => return Poll::Ready(Ok(Some(answer))),
                // The upstream asks for the body.
                Poll::Ready(None) => {}
                Poll::Pending => break,
            }
        }
        match &mut deadline {
            Some(deadline) if body.is_kept() => deadline.as_mut().poll(context).map(|()| Ok(None)),
            _ => Poll::Pending,
        }
    })
    .await
}

impl Exchanged {
    /// Whether all was said on both sides and the connection can take another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.reusable && self.answer.keep_alive && self.sending.is_whole()
    }

    /// Streams the body to `client`, to whom the head was begun, and the rest of the request's body
    /// the other way.
    pub(super) async fn stream(
        &mut self,
        client: &mut Wire,
        body: &mut Body,
    ) -> Result<(), DeliveryError> {
        let mut delivered = false;
        let mut caller = Caller::Client(client);
        let streamed = poll_fn(|context| {
            let sending = self.sending.poll(context, body, &mut caller, &mut self.link);
            let sent = match sending {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(DeliveryError::Gone)),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            let Caller::Client(client) = &mut caller else {
                return Poll::Ready(Ok(()));
            };
            if !delivered {
                match poll_deliver(context, &mut self.link, client, self.accepts_trailers) {
                    Poll::Ready(Ok(())) => delivered = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            if delivered && sent {
                return Poll::Ready(Ok(()));
            }
            if self.sending.leaves_client_unread(body) && client.poll_gone(context).is_ready() {
                return Poll::Ready(Err(DeliveryError::Gone));
            }
            Poll::Pending
        })
        .await;
        if let Err(DeliveryError::Cut(_)) = &streamed
            && let Caller::Client(client) = caller
        {
            // What came before is the client's all the same. If it is gone, there is nobody to care.
            let _ = poll_fn(|context| client.poll_flush(context)).await;
        }
        streamed
    }

    /// All of the body, if it is short; it stays to be delivered.
    pub async fn peek(&mut self) -> Option<Vec<u8>> {
        poll_fn(|context| self.link.poll_whole(context, self.answer.framing)).await
    }

    /// All of the body, for the proxy itself; `None` if it is longer than `limit`.
    ///
    /// # Errors
    ///
    /// It is cut short.
    pub async fn read(&mut self, limit: usize) -> Result<Option<Vec<u8>>, BodyError> {
        let mut whole = Vec::new();
        while let Piece::Data = poll_fn(|context| self.link.poll_piece(context)).await? {
            let piece = self.link.piece();
            if whole.len() + piece.len() > limit {
                return Ok(None);
            }
            whole.extend_from_slice(piece);
            let length = piece.len();
            self.link.consume(length);
        }
        Ok(Some(whole))
    }
}

fn poll_deliver(
    context: &mut Context<'_>,
    link: &mut Link,
    client: &mut Wire,
    accepts_trailers: bool,
) -> Poll<Result<(), DeliveryError>> {
    let none = Fields::default();
    let gone = |_: io::Error| DeliveryError::Gone;
    loop {
        match link.poll_piece(context) {
            Poll::Ready(Ok(Piece::Data)) => {
                let count = ready!(client.poll_write(context, link.piece()));
                link.consume(count.map_err(gone)?);
            }
            Poll::Ready(Ok(Piece::End)) => {
                let trailers = if accepts_trailers { link.trailers() } else { &none };
                return client.poll_finish(context, trailers).map_err(gone);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(DeliveryError::Cut(error))),
            Poll::Pending => {
                ready!(client.poll_flush(context)).map_err(gone)?;
                return Poll::Pending;
            }
        }
    }
}
