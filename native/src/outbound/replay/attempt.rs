//! One attempt to send a request's body: what hyper reads, and its end.

use super::{Progress, RequestBody};
use crate::outbound::client_connection::Upload;
use crate::outbound::error::explain;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

type Hold = Pin<Box<dyn Future<Output = ()>>>;

/// One attempt to send a body, as hyper reads it.
pub(in crate::outbound) struct AttemptBody {
    body: RequestBody,
    number: u32,
    end: Rc<AttemptEnd>,
    /// How much of what is kept it has sent, in bytes.
    position: usize,
    /// Keeps the body back until the upstream asks for it (RFC 9110 section 10.1.1).
    hold: Option<Hold>,
}

/// Ends an attempt when it is dropped: its body fails from then on, so that no upstream takes what it
/// has got for the whole.
#[derive(Debug)]
pub(in crate::outbound) struct AttemptGuard {
    body: RequestBody,
    number: u32,
    end: Rc<AttemptEnd>,
}

/// Whether an attempt is over, and who sends its body.
#[derive(Debug, Default)]
struct AttemptEnd {
    over: Cell<bool>,
    sender: RefCell<Option<Waker>>,
    /// hyper is done with the body: it was sent, or cannot be.
    done: Cell<bool>,
    is_done: Notify,
}

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::outbound) enum RequestBodyError {
    /// Nobody waits for the response any more.
    #[error("the attempt is over")]
    AttemptOver,
    /// The client's side failed.
    #[error("the request body could not be read: {}", explain(&**.0))]
    Client(#[source] Arc<hyper::Error>),
}

/// Upstreams may not know of 100 (Continue): a body is kept back no longer than curl does, and the Go
/// program.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

impl RequestBody {
    /// Begins a further attempt; the one before sends nothing more. The body is kept back until
    /// `continued` is told of 100 (Continue), but not for long.
    pub(in crate::outbound) fn attempt(
        &self,
        continued: Option<Arc<Notify>>,
    ) -> (AttemptBody, AttemptGuard) {
        let mut state = self.0.borrow_mut();
        state.attempt += 1;
        state.sent = matches!(state.progress, Progress::Complete(_)) && state.length == Some(0);
        let number = state.attempt;
        let hold = continued.map(|continued| -> Hold {
            Box::pin(async move { drop(timeout(CONTINUE_TIMEOUT, continued.notified()).await) })
        });
        drop(state);
        let end = Rc::<AttemptEnd>::default();
        let guard = AttemptGuard { body: self.clone(), number, end: Rc::clone(&end) };
        (AttemptBody { body: self.clone(), number, end, position: 0, hold }, guard)
    }
}

impl AttemptBody {
    /// The length of the body, if there is a body and its length is known.
    pub(in crate::outbound) fn length(&self) -> Option<u64> {
        let state = self.body.0.borrow();
        state.length.filter(|_| state.incoming.is_some())
    }

    fn is_held(&mut self, context: &mut Context<'_>) -> bool {
        let held = self.hold.as_mut().is_some_and(|hold| hold.as_mut().poll(context).is_pending());
        if !held {
            self.hold = None;
        }
        held
    }
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        let shared = this.body.clone();
        let state = &mut *shared.0.borrow_mut();
        if this.end.over.get() {
            return Poll::Ready(Some(Err(RequestBodyError::AttemptOver)));
        }
        this.end.sender.replace(Some(context.waker().clone()));
        // Of an attempt that another one followed the response may still be needed.
        if state.attempt != this.number || this.is_held(context) {
            return Poll::Pending;
        }
        if let Some(kept) = state.replay.bytes.get(this.position..).filter(|kept| !kept.is_empty())
        {
            let kept = Bytes::copy_from_slice(kept);
            this.position += kept.len();
            state.sent |= this.position as u64 == state.received
                && matches!(state.progress, Progress::Complete(None));
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        match &state.progress {
            Progress::Failed(reason) => {
                return Poll::Ready(Some(Err(RequestBodyError::Client(Arc::clone(reason)))));
            }
            Progress::Complete(trailers) => {
                let first = !std::mem::replace(&mut state.sent, true);
                let trailers = trailers.clone().filter(|_| first);
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            Progress::Unread | Progress::Reading => {}
        }
        match ready!(state.poll_incoming(context)) {
            None => {
                state.sent = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(RequestBodyError::Client(error)))),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    state.replay.keep(data);
                    this.position = state.replay.bytes.len();
                    state.sent = matches!(state.progress, Progress::Complete(_));
                    return Poll::Ready(Some(Ok(frame)));
                }
                state.sent = true;
                let Progress::Complete(Some(trailers)) = &state.progress else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.body.0.borrow();
        state.length == Some(0) || (state.sent && state.attempt == self.number)
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.length() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::new(),
        }
    }
}

impl AttemptGuard {
    /// Whether all of the body was sent.
    pub(in crate::outbound) fn has_sent_all(&self) -> bool {
        let state = self.body.0.borrow();
        state.sent && state.attempt == self.number
    }

    /// Whether some of the body was read from the client, so that it is on its way.
    pub(in crate::outbound) fn is_sending(&self) -> bool {
        let state = self.body.0.borrow();
        let is_current = state.attempt == self.number && !self.end.done.get();
        is_current && !state.sent && !matches!(state.progress, Progress::Unread)
    }

    /// Whether hyper is done with the body.
    pub(in crate::outbound) fn is_over(&self) -> bool {
        self.end.done.get()
    }

    /// Waits until hyper is done with the body.
    pub(in crate::outbound) fn done(&self) -> impl Future<Output = ()> + use<> {
        let end = Rc::clone(&self.end);
        async move {
            let is_done = end.is_done.notified();
            if !end.done.get() {
                is_done.await;
            }
        }
    }

    /// Lets the attempt go on although its response has ended, for as long as the client is there. `task`:
    /// what sends it, where it is nobody else's.
    pub(in crate::outbound) fn outlive_response(self, task: Option<AbortOnDropHandle<()>>) {
        let client = Rc::clone(&self.body.0.borrow().client);
        client.keep(Upload { attempt: self, _task: task });
    }
}

impl Drop for AttemptBody {
    fn drop(&mut self) {
        self.end.done.set(true);
        self.end.is_done.notify_waiters();
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.end.over.set(true);
        if let Some(sender) = self.end.sender.take() {
            sender.wake();
        }
    }
}
