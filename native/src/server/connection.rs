//! A client's connection: one request after the other.

use super::linger::linger;
use super::{Open, Peer};
use crate::http1::{BodyError, Request, Stream, Wire};
use crate::service::{After, Service};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

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
            Ok(Some(request)) => match service.call(&mut client, &request, peer).await {
                After::Reuse => {}
                After::Close => break,
                After::Abort => return Err(Broken("before all was said".to_owned())),
            },
            // Of TLS the end has to be said: without that it looks cut off (RFC 8446 section 6.1).
            Ok(None) if matches!(client.stream(), Stream::Tls(_)) => break,
            Ok(None) => return Ok(()),
            Err(error @ (BodyError::Cut | BodyError::Broken(_))) => {
                return Err(Broken(error.to_string()));
            }
            Err(error) => {
                service.refuse(&mut client, error).await;
                break;
            }
        }
    }
    linger(client.stream()).await;
    Ok(())
}

/// How a connection ended that should not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

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
