//! A client's connection: one request after the other.

use super::linger::linger;
use super::{Open, Peer};
use crate::http1::{BodyError, Request, Stream, Wire};
use crate::service::{After, Service};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Serves what comes from `peer`, until one side ends it, or the proxy ends. `head_timeout`: how long
/// a head may take, and the wait for it.
///
/// # Errors
///
/// The client went away in the middle of something.
pub(super) async fn serve(
    stream: Stream,
    peer: &Peer,
    service: &Service,
    open: &Open,
    head_timeout: Duration,
) -> Result<(), Broken> {
    let mut client = Wire::new(stream);
    let mut deadline = Deadline::new(head_timeout);
    // Asked once, and never again: that is enough for this task to be woken when the proxy is to end,
    // and a request does not pay for it.
    let mut told = pin!(open.told_to_end());
    poll_fn(|context| {
        // Whether it is to end already is looked up below.
        let _ = told.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    loop {
        deadline.renew();
        let request = poll_fn(|context| deadline.poll_request(context, &mut client, open)).await;
        match request {
            Ok(Some(request)) => match unwound(service.call(&mut client, &request, peer)).await {
                Ok(After::Reuse) => {}
                Ok(After::Close) => break,
                Ok(After::Abort) => return Err(Broken("before all was said".to_owned())),
                Err(Panicked) if client.take_back() => {
                    Box::pin(service.apologise(&mut client, &request)).await;
                    break;
                }
                Err(Panicked) => return Err(Broken("in the middle of an answer".to_owned())),
            },
            // Of TLS the end has to be said: without that it looks cut off (RFC 8446 section 6.1).
            Ok(None) if matches!(client.stream(), Stream::Tls(_)) => break,
            Ok(None) => return Ok(()),
            Err(error @ (BodyError::Cut | BodyError::Broken(_))) => {
                return Err(Broken(error.to_string()));
            }
            Err(error) => {
                Box::pin(service.refuse(&mut client, error)).await;
                break;
            }
        }
    }
    Box::pin(linger(client.stream())).await;
    Ok(())
}

/// Tells a client that there is no room for it, since `most` others are served.
pub(super) async fn turn_away(stream: Stream, service: &Service, most: usize) {
    let mut client = Wire::new(stream);
    // Some clients do not notice an answer that comes before they have asked.
    let asked = timeout(PATIENCE, poll_fn(|context| client.poll_request(context))).await;
    if let Ok(Ok(Some(_)) | Err(BodyError::Head(_) | BodyError::HeadTooLarge)) = asked {
        service.turn_away(&mut client, most).await;
        linger(client.stream()).await;
    }
}

/// How long a client that is turned away may take to ask.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a connection ended that should not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

/// The handling of a request has panicked. Where, the log says (`log::panics`).
#[derive(Debug, PartialEq, Eq)]
struct Panicked;

/// What `future` brings, unless it panics: a fault in the handling of one request must not be the end
/// of others. What it has borrowed is not to be trusted then.
async fn unwound<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// Until when a head has to be there. The timer is set anew only when it has run out, which with
/// request after request is seldom.
struct Deadline {
    timeout: Duration,
    until: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        Self { timeout, until: Instant::now() + timeout, timer: Box::pin(sleep(timeout)) }
    }

    fn renew(&mut self) {
        self.until = Instant::now() + self.timeout;
    }

    /// The next request; `None` where the connection, the time, or the proxy's has ended. A request
    /// that has begun to come may come.
    fn poll_request(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire,
        open: &Open,
    ) -> Poll<Result<Option<Request>, BodyError>> {
        if let Poll::Ready(request) = client.poll_request(context) {
            return Poll::Ready(request);
        }
        if open.is_to_end() && client.has_nothing_unused() {
            return Poll::Ready(Ok(None));
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.until <= Instant::now() {
                return Poll::Ready(Ok(None));
            }
            self.timer.as_mut().reset(self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_panic_is_the_end_of_one_future() {
        assert_eq!(unwound(async { 1 }).await, Ok(1));
        let panics = async {
            yield_now().await;
            std::hint::black_box(None::<i32>).unwrap()
        };
        assert_eq!(unwound(panics).await, Err(Panicked));
    }
}
