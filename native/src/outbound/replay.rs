//! The body of a client's request: streamed to the upstream, and kept meanwhile, as far as it fits the
//! replay buffer, so that another attempt can send it again.

use super::client_connection::{ClientConnection, Upload};
use super::error::explain;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use taskcluster_proxy_core::proxy::HeaderRole;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How much of request bodies is kept.
#[derive(Debug)]
pub struct ReplayBudget {
    /// For one request, in bytes.
    each: usize,
    /// For all requests together, in bytes.
    all: usize,
    left: AtomicUsize,
}

impl ReplayBudget {
    /// At most `each` bytes of one request's body and `all` of all together.
    pub fn new(each: usize, all: usize) -> Self {
        Self { each, all, left: AtomicUsize::new(all) }
    }

    /// How much is in use, and how much may be, in bytes.
    pub fn usage(&self) -> (usize, usize) {
        (self.all - self.left.load(Ordering::Relaxed), self.all)
    }

    fn take(&self, amount: usize) -> bool {
        let take = |left: usize| left.checked_sub(amount);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, amount: usize) {
        self.left.fetch_add(amount, Ordering::Relaxed);
    }
}

/// The body of one request, shared by the attempts to send it.
#[derive(Clone)]
pub struct RequestBody(Rc<RefCell<State>>);

struct State {
    /// `None`: there is no body.
    incoming: Option<Incoming>,
    progress: Progress,
    /// The length that the client announced; `None` for a chunked body.
    length: Option<u64>,
    /// Whether the client waits for 100 (Continue) before it sends the body.
    expects_continue: bool,
    received: u64,
    /// Was read ahead, and did not fit the replay buffer.
    pending: Option<Bytes>,
    replay: ReplayBuffer,
    client: Rc<ClientConnection>,
    /// The number of the attempt that may send; those before it are over.
    attempt: u32,
    /// Whether the current attempt has sent all of it.
    sent: bool,
}

#[derive(Debug)]
enum Progress {
    /// Nothing was read yet: a client that expects 100 (Continue) has not been told to go on.
    Untouched,
    Reading,
    Complete(Option<HeaderMap>),
    /// The client went away, or what it sent is not framed as it should be.
    Failed(String),
}

/// What is kept of a body.
struct ReplayBuffer {
    budget: Arc<ReplayBudget>,
    bytes: Vec<u8>,
    /// How much of the budget is taken: an announced length at once, so that a body that is said to
    /// fit does.
    charged: usize,
    keeping: bool,
}

type Hold = Pin<Box<dyn Future<Output = ()>>>;

/// One attempt to send a body, as hyper reads it.
pub(super) struct AttemptBody {
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
pub(super) struct AttemptGuard {
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
pub(super) enum RequestBodyError {
    /// Nobody waits for the response any more.
    #[error("the attempt is over")]
    AttemptOver,
    /// The client's side failed.
    #[error("the request body could not be read: {0}")]
    Client(String),
}

/// Upstreams may not know of 100 (Continue): a body is kept back no longer than curl does, and the Go
/// program.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

impl RequestBody {
    /// What a client sends. `expects_continue`: after it was told to. As much is kept as `budget`
    /// allows. `client`: the connection that it comes over.
    pub fn new(
        incoming: Incoming,
        expects_continue: bool,
        budget: &Arc<ReplayBudget>,
        client: &Rc<ClientConnection>,
    ) -> Self {
        if incoming.is_end_stream() {
            client.received();
            return Self::empty(budget);
        }
        let length = incoming.size_hint().exact();
        let mut replay = ReplayBuffer::new(budget);
        if let Some(length) = length {
            // A body that does not fit is kept for as long as it does.
            let _ = usize::try_from(length).is_ok_and(|length| replay.charge(length));
        }
        Self::of(State {
            incoming: Some(incoming),
            progress: Progress::Untouched,
            length,
            expects_continue,
            client: Rc::clone(client),
            ..State::empty(replay)
        })
    }

    /// None.
    pub fn empty(budget: &Arc<ReplayBudget>) -> Self {
        Self::of(State::empty(ReplayBuffer::new(budget)))
    }

    fn of(state: State) -> Self {
        Self(Rc::new(RefCell::new(state)))
    }

    /// How much was read of it, in bytes.
    pub fn received(&self) -> u64 {
        self.0.borrow().received
    }

    /// The length that the client announced; `None` for a chunked body.
    pub fn length(&self) -> Option<u64> {
        self.0.borrow().length
    }

    /// Whether the client waits for 100 (Continue), and was not told to go on.
    pub fn awaits_continue(&self) -> bool {
        let state = self.0.borrow();
        state.expects_continue && matches!(state.progress, Progress::Untouched)
    }

    /// Whether all of it was read: the client's connection can take another request.
    pub fn is_complete(&self) -> bool {
        matches!(self.0.borrow().progress, Progress::Complete(_))
    }

    /// Why it could not be read to its end, if that is so.
    pub(super) fn failure(&self) -> Option<String> {
        match &self.0.borrow().progress {
            Progress::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether all that was read so far is still there for another attempt.
    pub(super) fn is_kept(&self) -> bool {
        let state = self.0.borrow();
        state.replay.keeping || matches!(state.progress, Progress::Untouched)
    }

    /// Whether all of it will be kept; `false` where the client does not announce the length.
    pub(super) fn will_fit(&self) -> bool {
        self.0.borrow().will_fit()
    }

    /// There will be no further attempt: nothing is kept from now on, and what was kept is freed as soon
    /// as the current attempt has sent it.
    pub(super) fn stop_keeping(&self) {
        let state = &mut *self.0.borrow_mut();
        state.replay.keeping = false;
        if state.sent {
            state.replay.free();
        }
    }

    /// Nothing more is read until the next attempt, which needs all that was read so far.
    pub(super) fn suspend(&self) {
        let mut state = self.0.borrow_mut();
        state.attempt += 1;
        state.client.abort_upload();
    }

    /// Reads what has come already, as far as it can be kept: a body that is there is sent in one piece
    /// with the header section, and with a Content-Length.
    pub async fn read_ahead(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            let state = &mut *self.0.borrow_mut();
            if state.expects_continue || (state.length.is_some() && !state.will_fit()) {
                return Poll::Ready(());
            }
            loop {
                match state.poll_keep(context) {
                    // hyper looks for the body when it is asked for it, and for each chunk anew.
                    Poll::Pending if !has_waited => {
                        has_waited = true;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(true) => has_waited &= state.length.is_some(),
                    Poll::Pending | Poll::Ready(false) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// Reads all of it, if it can be kept, so that its length is known. Whether it is.
    pub(super) async fn read_to_end(&self) -> bool {
        poll_fn(|context| {
            let state = &mut *self.0.borrow_mut();
            while ready!(state.poll_keep(context)) {}
            Poll::Ready(state.length.is_some())
        })
        .await
    }

    /// The next frame of it, for the proxy itself.
    pub fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.borrow_mut().poll_incoming(context)
    }

    /// Begins a further attempt; the one before sends nothing more. The body is kept back until
    /// `continued` is told of 100 (Continue), but not for long.
    pub(super) fn attempt(&self, continued: Option<Arc<Notify>>) -> (AttemptBody, AttemptGuard) {
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

impl State {
    fn empty(replay: ReplayBuffer) -> Self {
        Self {
            incoming: None,
            progress: Progress::Complete(None),
            length: Some(0),
            expects_continue: false,
            received: 0,
            pending: None,
            replay,
            client: Rc::default(),
            attempt: 0,
            sent: false,
        }
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(data) = self.pending.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match self.progress {
            Progress::Complete(_) => return Poll::Ready(None),
            Progress::Untouched => self.progress = Progress::Reading,
            Progress::Reading | Progress::Failed(_) => {}
        }
        let polled = ready!(Pin::new(incoming).poll_frame(context));
        match &polled {
            None => self.complete(None),
            Some(Err(error)) => self.progress = Progress::Failed(explain(error)),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.received += data.len() as u64;
                    if self.length == Some(self.received) {
                        self.complete(None);
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.complete(Some(end_to_end(trailers)));
                }
            }
        }
        Poll::Ready(polled)
    }
}

impl State {
    /// Reads a frame of data into the replay buffer. `false` when there is none that fits: the body has
    /// ended, which gives its length, or failed, or goes on beyond what can be kept.
    fn poll_keep(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.replay.keeping || self.pending.is_some() {
            return Poll::Ready(false);
        }
        match self.progress {
            Progress::Untouched | Progress::Reading => {}
            Progress::Complete(None) => {
                self.length = Some(self.received);
                return Poll::Ready(false);
            }
            Progress::Complete(Some(_)) | Progress::Failed(_) => return Poll::Ready(false),
        }
        match ready!(self.poll_incoming(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if self.replay.charge(self.replay.bytes.len() + data.len()) => {
                    self.replay.keep(&data);
                    return Poll::Ready(true);
                }
                Ok(data) => self.pending = Some(data),
                Err(_trailers) => {}
            },
            None => self.length = Some(self.received),
            Some(Err(_)) => {}
        }
        Poll::Ready(false)
    }

    fn will_fit(&self) -> bool {
        let charged = self.replay.charged as u64;
        self.replay.keeping && self.length.is_some_and(|length| length <= charged)
    }

    fn complete(&mut self, trailers: Option<HeaderMap>) {
        self.progress = Progress::Complete(trailers);
        self.client.received();
    }
}

impl ReplayBuffer {
    fn new(budget: &Arc<ReplayBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: Vec::new(), charged: 0, keeping: true }
    }

    /// Keeps what was read, if it fits; if not, all that was kept is gone.
    fn keep(&mut self, data: &[u8]) {
        if self.keeping && self.charge(self.bytes.len() + data.len()) {
            if self.bytes.is_empty() {
                // As much as the client announced: a buffer that grows is copied again.
                self.bytes.reserve_exact(self.charged);
            }
            self.bytes.extend_from_slice(data);
        } else {
            self.keeping = false;
            self.free();
        }
    }

    /// Makes room for others.
    fn free(&mut self) {
        self.bytes = Vec::new();
        self.budget.give_back(std::mem::take(&mut self.charged));
    }

    /// Makes room for so much; `false` if there is none.
    fn charge(&mut self, length: usize) -> bool {
        let more = length.saturating_sub(self.charged);
        let fits = length <= self.budget.each && self.budget.take(more);
        if fits {
            self.charged += more;
        }
        fits
    }
}

impl Drop for ReplayBuffer {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

/// Trailer fields that may be forwarded.
pub(super) fn end_to_end(trailers: &HeaderMap) -> HeaderMap {
    let role = |name: &http::HeaderName| HeaderRole::of(name.as_str());
    let fields = trailers.iter().filter(|(name, _)| role(name) == HeaderRole::EndToEnd);
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl AttemptBody {
    /// The length of the body, if there is a body and its length is known.
    pub(super) fn length(&self) -> Option<u64> {
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
                return Poll::Ready(Some(Err(RequestBodyError::Client(reason.clone()))));
            }
            Progress::Complete(trailers) => {
                let first = !std::mem::replace(&mut state.sent, true);
                let trailers = trailers.clone().filter(|_| first);
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            Progress::Untouched | Progress::Reading => {}
        }
        match ready!(state.poll_incoming(context)) {
            None => {
                state.sent = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(RequestBodyError::Client(explain(&error))))),
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
    pub(super) fn has_sent_all(&self) -> bool {
        let state = self.body.0.borrow();
        state.sent && state.attempt == self.number
    }

    /// Whether some of the body was read from the client, so that it is on its way.
    pub(super) fn is_sending(&self) -> bool {
        let state = self.body.0.borrow();
        let is_current = state.attempt == self.number && !self.end.done.get();
        is_current && !state.sent && !matches!(state.progress, Progress::Untouched)
    }

    /// Whether hyper is done with the body.
    pub(super) fn is_over(&self) -> bool {
        self.end.done.get()
    }

    /// Waits until hyper is done with the body.
    pub(super) fn done(&self) -> impl Future<Output = ()> + use<> {
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
    pub(super) fn outlive_response(self, task: Option<AbortOnDropHandle<()>>) {
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

/// What is kept is a task's data; only its size is shown.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.borrow().replay.bytes.len();
        f.debug_struct("RequestBody").field("kept", &kept).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &ReplayBudget) -> usize {
        budget.left.load(Ordering::Relaxed)
    }

    #[test]
    fn an_announced_length_is_charged_at_once() {
        let budget = Arc::new(ReplayBudget::new(4, 6));
        let mut first = ReplayBuffer::new(&budget);
        assert!(first.charge(4));
        assert_eq!(left(&budget), 2);
        let mut second = ReplayBuffer::new(&budget);
        assert!(!second.charge(4) && !second.charge(5));
        assert_eq!(budget.usage(), (4, 6));
        drop((first, second));
        assert_eq!(left(&budget), 6);
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_makes_room() {
        let budget = Arc::new(ReplayBudget::new(4, 6));
        let mut buffer = ReplayBuffer::new(&budget);
        buffer.keep(b"bod");
        assert_eq!(
            (buffer.bytes.as_slice(), left(&budget), buffer.keeping),
            (&b"bod"[..], 3, true)
        );
        buffer.keep(b"dy");
        assert_eq!((buffer.bytes.len(), left(&budget), buffer.keeping), (0, 6, false));
        buffer.keep(b"!");
        assert_eq!((buffer.bytes.len(), left(&budget), buffer.keeping), (0, 6, false));
    }
}
