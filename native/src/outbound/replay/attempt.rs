//! One attempt to send a request body: the body that hyper reads, and the end of the attempt.

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
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

type Hold = Pin<Box<dyn Future<Output = ()>>>;

/// The body of one attempt, as hyper reads it.
pub(in crate::outbound) struct AttemptBody {
    body: RequestBody,
    number: u32,
    shared: Rc<AttemptState>,
    /// The number of bytes of the replay buffer that were sent.
    position: usize,
    /// Delays the body until the upstream requests it with 100 (Continue) (RFC 9110 section 10.1.1).
    hold: Option<Hold>,
}

/// Ends the attempt when dropped: reading its body fails from then on, so that no upstream considers a
/// partial body complete.
#[derive(Debug)]
pub(in crate::outbound) struct AttemptGuard {
    body: RequestBody,
    number: u32,
    shared: Rc<AttemptState>,
}

/// The state that [`AttemptBody`] and [`AttemptGuard`] share.
#[derive(Debug, Default)]
struct AttemptState {
    over: Cell<bool>,
    /// Wakes the task that reads the body.
    reader: RefCell<Option<Waker>>,
    /// Whether hyper has dropped the body, because it was sent or cannot be sent.
    done: Cell<bool>,
    is_done: Notify,
}

/// Why the body of an attempt ends early.
#[derive(Debug, thiserror::Error)]
pub(in crate::outbound) enum RequestBodyError {
    /// The attempt has ended, and its response is not needed any more.
    #[error("the attempt is over")]
    AttemptOver,
    /// The body could not be read from the client.
    #[error("the request body could not be read: {}", explain(&**.0))]
    Client(#[source] Arc<hyper::Error>),
}

/// How long a body is delayed for 100 (Continue), which some upstreams never send: as long as in curl and
/// in the Go proxy.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

impl RequestBody {
    /// Begins another attempt; the previous one sends nothing more. If `continued` is given, the body is
    /// delayed until it is notified of 100 (Continue), or until a timeout.
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
        let shared = Rc::<AttemptState>::default();
        let guard = AttemptGuard { body: self.clone(), number, shared: Rc::clone(&shared) };
        (AttemptBody { body: self.clone(), number, shared, position: 0, hold }, guard)
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
        let body = this.body.clone();
        let state = &mut *body.0.borrow_mut();
        if this.shared.over.get() {
            return Poll::Ready(Some(Err(RequestBodyError::AttemptOver)));
        }
        this.shared.reader.replace(Some(context.waker().clone()));
        // A previous attempt waits instead of failing, because its response may still be needed.
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
                    state.replay.append(data);
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

    /// Whether the body is being sent: some of it was read from the client, and not all was sent.
    pub(in crate::outbound) fn is_sending(&self) -> bool {
        let state = self.body.0.borrow();
        let is_current = state.attempt == self.number && !self.shared.done.get();
        is_current && !state.sent && !matches!(state.progress, Progress::Unread)
    }

    /// Whether hyper has dropped the body.
    pub(in crate::outbound) fn is_over(&self) -> bool {
        self.shared.done.get()
    }

    /// Waits until hyper has dropped the body.
    pub(in crate::outbound) fn done(&self) -> impl Future<Output = ()> + use<> {
        let shared = Rc::clone(&self.shared);
        async move {
            let is_done = shared.is_done.notified();
            if !shared.done.get() {
                is_done.await;
            }
        }
    }

    /// Lets the attempt continue although its response has ended, for as long as the client's connection is
    /// open and the upstream receives the body. `task` is the task of an HTTP/1.1 connection, which only
    /// this attempt uses.
    pub(in crate::outbound) fn continue_after_response(self, task: Option<AbortOnDropHandle<()>>) {
        let client = Rc::clone(&self.body.0.borrow().client);
        let done = self.done();
        client.keep(Upload { attempt: self, _task: task });
        // If the upstream does not receive all of the body, hyper closes the client's connection only when
        // nothing holds the body any more.
        spawn_local(async move {
            done.await;
            client.release_upload();
        });
    }
}

impl Drop for AttemptBody {
    fn drop(&mut self) {
        self.shared.done.set(true);
        self.shared.is_done.notify_waiters();
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.shared.over.set(true);
        if let Some(reader) = self.shared.reader.take() {
            reader.wake();
        }
    }
}
