//! The body of a client's request: it is streamed to the upstream and copied to the replay buffer, as long
//! as it fits, so that another attempt can send it again.

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
    /// `None` if there is no body.
    incoming: Option<Incoming>,
    progress: Progress,
    /// The length that the client announced; `None` for a chunked body.
    length: Option<u64>,
    /// Whether the client waits for 100 (Continue) before it sends the body.
    expects_continue: bool,
    /// The number of bytes that were read.
    received: u64,
    /// Data that was read ahead and did not fit the replay buffer.
    pending: Option<Bytes>,
    replay: ReplayBuffer,
    client: Rc<ClientConnection>,
    /// The number of the current attempt; previous ones send nothing more.
    attempt: u32,
    /// Whether the current attempt has sent the whole body.
    sent: bool,
}

#[derive(Debug)]
enum Progress {
    /// Nothing was read yet, so that hyper has not sent 100 (Continue) to a client that expects it.
    Unread,
    Reading,
    /// The whole body was read, with the trailer section if there is one.
    Complete(Option<HeaderMap>),
    /// The client closed the connection early, or the framing of the body is invalid.
    Failed(Arc<hyper::Error>),
}

impl RequestBody {
    /// The body that a client sends on the connection `client`. `expects_continue` says whether the client
    /// waits for 100 (Continue). As much of the body is kept as `budget` allows.
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
            // The beginning of a body that does not fit is kept nevertheless, until the limit is reached.
            let _ = usize::try_from(length).is_ok_and(|length| replay.charge(length));
        }
        Self::from_state(State {
            incoming: Some(incoming),
            progress: Progress::Unread,
            length,
            expects_continue,
            client: Rc::clone(client),
            ..State::empty(replay)
        })
    }

    /// An empty body.
    pub fn empty(budget: &Arc<ReplayBudget>) -> Self {
        Self::from_state(State::empty(ReplayBuffer::new(budget)))
    }

    fn from_state(state: State) -> Self {
        Self(Rc::new(RefCell::new(state)))
    }

    /// The number of bytes that were read from the client.
    pub fn received(&self) -> u64 {
        self.0.borrow().received
    }

    /// The length that the client announced; `None` for a chunked body.
    pub fn length(&self) -> Option<u64> {
        self.0.borrow().length
    }

    /// Whether the client waits for 100 (Continue), and it was not sent yet.
    pub fn awaits_continue(&self) -> bool {
        let state = self.0.borrow();
        state.expects_continue && matches!(state.progress, Progress::Unread)
    }

    /// Whether the whole body was read, so that the client's connection can be used for another request.
    pub fn is_complete(&self) -> bool {
        matches!(self.0.borrow().progress, Progress::Complete(_))
    }

    /// The error that occurred while the body was read, if any.
    pub(super) fn failure(&self) -> Option<Arc<hyper::Error>> {
        match &self.0.borrow().progress {
            Progress::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether it could not be read to its end because the client closed the connection, or its sending
    /// side. `false` if its framing is invalid.
    pub fn is_abandoned(&self) -> bool {
        self.failure().is_some_and(|error| {
            let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            // hyper's own errors of framing are of these kinds.
            cause.is_some_and(|error| {
                !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            })
        })
    }

    /// Whether the replay buffer has the body received so far.
    pub(super) fn is_buffered(&self) -> bool {
        let state = self.0.borrow();
        state.replay.buffering || matches!(state.progress, Progress::Unread)
    }

    /// Whether the replay buffer will hold the whole body; `false` if the length is not known.
    pub(super) fn will_fit(&self) -> bool {
        self.0.borrow().will_fit()
    }

    /// Stops copying to the replay buffer, because there will be no further attempt. The buffer is freed as
    /// soon as the current attempt has sent it.
    pub(super) fn stop_buffering(&self) {
        let state = &mut *self.0.borrow_mut();
        state.replay.buffering = false;
        if state.sent {
            state.replay.free();
        }
    }

    /// Stops the current attempt from reading more, so that the next one finds the body received so far in
    /// the replay buffer.
    pub(super) fn suspend(&self) {
        let mut state = self.0.borrow_mut();
        // An attempt that has sent the whole body reads nothing more, and its connection can be reused.
        if !state.sent {
            state.attempt += 1;
        }
        state.client.abort_upload();
    }

    /// Reads the part of the body that has already arrived into the replay buffer, as far as it fits. A
    /// body that has arrived completely is then sent together with the header section, and with a
    /// Content-Length.
    pub async fn read_ahead(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            let state = &mut *self.0.borrow_mut();
            if state.expects_continue || (state.length.is_some() && !state.will_fit()) {
                return Poll::Ready(());
            }
            loop {
                match state.poll_buffer(context) {
                    // hyper reads from the socket only after it was polled for the body, and again for
                    // each chunk.
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

    /// Reads the whole body into the replay buffer, if it fits, so that its length is known. Returns
    /// whether the length is known.
    pub(super) async fn read_to_end(&self) -> bool {
        poll_fn(|context| {
            let state = &mut *self.0.borrow_mut();
            while ready!(state.poll_buffer(context)) {}
            Poll::Ready(state.length.is_some())
        })
        .await
    }

    /// Polls for the next frame, for endpoints of the proxy itself.
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

    /// Reads one data frame into the replay buffer. Returns `false` if none was added: the body has ended
    /// (and its length is known), could not be read, or exceeds the replay buffer.
    fn poll_buffer(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.replay.buffering || self.pending.is_some() {
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
                    self.replay.append(&data);
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
        self.replay.buffering
            && (is_complete || self.length.is_some_and(|length| length <= charged))
    }

    fn complete(&mut self, trailers: Option<HeaderMap>) {
        self.progress = Progress::Complete(trailers);
        self.client.received();
    }
}

/// Shows only the size of the replay buffer, because its content is a task's data.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffered = self.0.borrow().replay.bytes.len();
        f.debug_struct("RequestBody").field("buffered", &buffered).finish_non_exhaustive()
    }
}

/// The trailer fields that may be forwarded.
pub(super) fn end_to_end(trailers: &HeaderMap) -> HeaderMap {
    let role = |name: &http::HeaderName| HeaderRole::of(name.as_str());
    let fields = trailers.iter().filter(|(name, _)| role(name) == HeaderRole::EndToEnd);
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}
