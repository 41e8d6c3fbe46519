//! The body of a client's request: streamed to the upstream, and kept meanwhile, as far as it fits the
//! replay buffer, so that another attempt can send it again.

mod attempt;
mod buffer;

pub(super) use attempt::{AttemptBody, AttemptGuard};
pub use buffer::ReplayBudget;

use super::client_connection::ClientConnection;
use buffer::ReplayBuffer;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use std::cell::RefCell;
use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};
use taskcluster_proxy_core::proxy::HeaderRole;

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
    Unread,
    Reading,
    Complete(Option<HeaderMap>),
    /// The client went away, or what it sent is not framed as it should be.
    Failed(Arc<hyper::Error>),
}

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
            progress: Progress::Unread,
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
        state.expects_continue && matches!(state.progress, Progress::Unread)
    }

    /// Whether all of it was read: the client's connection can take another request.
    pub fn is_complete(&self) -> bool {
        matches!(self.0.borrow().progress, Progress::Complete(_))
    }

    /// Why it could not be read to its end, if that is so.
    pub(super) fn failure(&self) -> Option<Arc<hyper::Error>> {
        match &self.0.borrow().progress {
            Progress::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether it could not be read to its end because the client closed the connection, or its sending
    /// side; `false` if it was not framed as it should be.
    pub fn is_abandoned(&self) -> bool {
        self.failure().is_some_and(|error| {
            let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            // hyper's own errors of framing are of these kinds.
            cause.is_some_and(|error| {
                !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            })
        })
    }

    /// Whether all that was read so far is still there for another attempt.
    pub(super) fn is_kept(&self) -> bool {
        let state = self.0.borrow();
        state.replay.keeping || matches!(state.progress, Progress::Unread)
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
        // What has sent all of it reads nothing more, and its connection can be used again.
        if !state.sent {
            state.attempt += 1;
        }
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
    ) -> Poll<Option<Result<Frame<Bytes>, Arc<hyper::Error>>>> {
        self.0.borrow_mut().poll_incoming(context)
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
    ) -> Poll<Option<Result<Frame<Bytes>, Arc<hyper::Error>>>> {
        if let Some(data) = self.pending.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match self.progress {
            Progress::Complete(_) => return Poll::Ready(None),
            Progress::Unread => self.progress = Progress::Reading,
            Progress::Reading | Progress::Failed(_) => {}
        }
        let polled = ready!(Pin::new(incoming).poll_frame(context));
        let polled = polled.map(|frame| frame.map_err(Arc::new));
        match &polled {
            None => self.complete(None),
            Some(Err(error)) => self.progress = Progress::Failed(Arc::clone(error)),
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

    /// Reads a frame of data into the replay buffer. `false` when there is none that fits: the body has
    /// ended, which gives its length, or failed, or goes on beyond what can be kept.
    fn poll_keep(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.replay.keeping || self.pending.is_some() {
            return Poll::Ready(false);
        }
        match self.progress {
            Progress::Unread | Progress::Reading => {}
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
        let is_complete = matches!(self.progress, Progress::Complete(_));
        self.replay.keeping && (is_complete || self.length.is_some_and(|length| length <= charged))
    }

    fn complete(&mut self, trailers: Option<HeaderMap>) {
        self.progress = Progress::Complete(trailers);
        self.client.received();
    }
}

/// What is kept is a task's data; only its size is shown.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.borrow().replay.bytes.len();
        f.debug_struct("RequestBody").field("kept", &kept).finish_non_exhaustive()
    }
}

/// Trailer fields that may be forwarded.
pub(super) fn end_to_end(trailers: &HeaderMap) -> HeaderMap {
    let role = |name: &http::HeaderName| HeaderRole::of(name.as_str());
    let fields = trailers.iter().filter(|(name, _)| role(name) == HeaderRole::EndToEnd);
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}
