//! A request body that can be sent again, as long as it fits the replay buffer.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Timeout, timeout};

/// How much of request bodies is kept.
#[derive(Debug)]
pub struct ReplayBudget {
    /// For one request, in bytes.
    each: usize,
    /// For all requests together, in bytes.
    left: AtomicUsize,
}

impl ReplayBudget {
    /// At most `each` bytes of one request's body and `all` of all together.
    pub fn new(each: usize, all: usize) -> Self {
        Self { each, left: AtomicUsize::new(all) }
    }

    fn take(&self, amount: usize) -> bool {
        let take = |left: usize| left.checked_sub(amount);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, amount: usize) {
        self.left.fetch_add(amount, Ordering::Relaxed);
    }
}

/// What was kept is sent again in frames of this size, so that no second copy of the whole is made.
const FRAME: usize = 64 * 1024;

/// The body of one request, from which each attempt gets a copy. `None`: it is empty, as
/// most are.
#[derive(Debug)]
pub struct Replay<B = Incoming>(Option<Arc<Mutex<Shared<B>>>>);

struct Shared<B> {
    source: B,
    state: State,
    /// The size of the whole, as far as the client told.
    hint: SizeHint,
    budget: Arc<ReplayBudget>,
    /// Copied together: slices of what the client's connection read would hold on to the whole of
    /// its buffers, and a body that comes byte by byte would be mostly bookkeeping.
    kept: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// How much of the budget is taken: a length that the client told at once, so that a body that
    /// is said to fit does.
    charged: usize,
    keeping: Keeping,
    /// The attempt whose turn it is; others get nothing.
    turn: u32,
}

enum State {
    /// Nobody has asked for it yet: a client that said `Expect: 100-continue` has not been told to
    /// send it.
    Untouched,
    Coming,
    Ended,
    Failed(Arc<dyn Error + Send + Sync>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// All that came so far is kept.
    All,
    /// It did not fit, or nobody will ask for it again.
    Nothing,
}

/// The body as one attempt sends it.
#[derive(Debug)]
pub struct Attempt<B = Incoming>(Option<Sending<B>>);

#[derive(Debug)]
struct Sending<B> {
    shared: Arc<Mutex<Shared<B>>>,
    turn: u32,
    /// How much of what is kept it has sent, in bytes.
    position: usize,
    trailers_sent: bool,
    /// Comes to an end with the attempt's [`Upload`].
    upload: Option<oneshot::Receiver<()>>,
    hold: Option<Hold>,
}

/// An attempt's body, seen by whoever waits for the answer or reads it. Dropped, it ends the body
/// with an error, and so the connection, should the upstream not have taken all of it.
/// `None`: there is no body.
#[derive(Debug)]
pub struct Upload(Option<oneshot::Sender<()>>);

/// How much of a body was taken from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// None of it: the client was never told to continue, and what it sends next may be the body or
    /// another request.
    Nothing,
    /// Not all of it, so far.
    Part,
    /// All of it; there may not have been any.
    All,
}

/// Keeps a body back until the upstream asks for it by 100 (Continue), but no longer than
/// a second (RFC 9110 section 10.1.1).
#[derive(Debug)]
pub struct Hold(Pin<Box<Timeout<OwnedNotified>>>);

/// Upstreams may not know of 100 (Continue). As long as curl waits, and the Go program.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why an attempt's body ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The client's body did.
    #[error("the client's request ended before its time")]
    Client(#[source] Arc<dyn Error + Send + Sync>),
    /// Nobody waits for the answer any more.
    #[error("nobody waits for the answer any more")]
    Abandoned,
}

impl<B> Replay<B> {
    /// A request without a body.
    pub const EMPTY: Self = Self(None);

    /// Whether all that came of the body so far is still there.
    pub fn is_kept(&self) -> bool {
        self.shared().is_none_or(|shared| shared.is_kept())
    }

    /// Whether all of the body will be kept; `false` if the client does not tell its length.
    pub fn will_fit(&self) -> bool {
        self.shared().is_none_or(|shared| {
            let length = shared.hint.exact().and_then(|length| usize::try_from(length).ok());
            shared.keeping == Keeping::All && length.is_some_and(|length| length <= shared.charged)
        })
    }

    /// The body for the next attempt, kept back by `hold`.
    pub fn attempt(&self, hold: Option<Hold>) -> (Attempt<B>, Upload) {
        let Some(shared) = &self.0 else {
            return (Attempt(None), Upload(None));
        };
        let (upload, receiver) = oneshot::channel();
        let sending = Sending {
            shared: Arc::clone(shared),
            turn: lock(shared).turn,
            position: 0,
            trailers_sent: false,
            upload: Some(receiver),
            hold,
        };
        (Attempt(Some(sending)), Upload(Some(upload)))
    }

    /// Takes the body away from the attempt before, so that the next one can send all of it;
    /// `false` if its beginning is gone. From now on the attempt before gets nothing more, neither
    /// data nor an end: its answer, which may be needed after all, can still be read.
    pub fn rewind(&self) -> bool {
        self.shared().is_none_or(|mut shared| {
            let kept = shared.is_kept();
            shared.turn += u32::from(kept);
            kept
        })
    }

    /// There will be no further attempt: nothing more is kept. A body that nobody has asked for yet
    /// will never be asked for.
    pub fn finish(&self) -> Taken {
        self.shared().map_or(Taken::All, |mut shared| {
            shared.keeping = Keeping::Nothing;
            match shared.state {
                State::Untouched => {
                    shared.turn += 1;
                    Taken::Nothing
                }
                State::Coming | State::Failed(_) => Taken::Part,
                State::Ended => Taken::All,
            }
        })
    }

    fn shared(&self) -> Option<MutexGuard<'_, Shared<B>>> {
        self.0.as_deref().map(lock)
    }
}

impl<B> Replay<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Keeps what comes of `source` as far as `budget` goes.
    pub fn new(source: B, budget: &Arc<ReplayBudget>) -> Self {
        if source.is_end_stream() {
            return Self::EMPTY;
        }
        let mut shared = Shared {
            hint: source.size_hint(),
            source,
            state: State::Untouched,
            budget: Arc::clone(budget),
            kept: Vec::new(),
            trailers: None,
            charged: 0,
            keeping: Keeping::All,
            turn: 0,
        };
        if let Some(length) = shared.hint.exact().and_then(|length| usize::try_from(length).ok()) {
            // A body that does not fit is kept for as long as it does.
            let _ = shared.charge(length);
        }
        Self(Some(Arc::new(Mutex::new(shared))))
    }
}

impl<B> Attempt<B> {
    /// Holds the body back no longer.
    pub fn proceed(&mut self) {
        if let Some(sending) = &mut self.0 {
            sending.hold = None;
        }
    }
}

impl Upload {
    /// Leaves the upload to itself: the answer has ended, and the upstream may want the rest of the
    /// body nevertheless.
    pub fn go_on(self) {
        if let Some(upload) = self.0 {
            // It may have come to its end.
            let _ = upload.send(());
        }
    }
}

impl Hold {
    /// Until `asked` is notified.
    pub fn new(asked: Arc<Notify>) -> Self {
        Self(Box::pin(timeout(CONTINUE_TIMEOUT, asked.notified_owned())))
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// The next frame that the client sends, for an attempt that has sent all that was kept.
    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        match &self.state {
            State::Untouched | State::Coming => {}
            State::Ended => return Poll::Ready(None),
            // To the next attempt, too: what came is not the whole.
            State::Failed(error) => {
                return Poll::Ready(Some(Err(ReplayError::Client(Arc::clone(error)))));
            }
        }
        self.state = State::Coming;
        let polled = ready!(Pin::new(&mut self.source).poll_frame(context));
        // Nothing comes after trailers.
        let trailers = matches!(&polled, Some(Ok(frame)) if frame.is_trailers());
        if polled.is_none() || trailers || self.source.is_end_stream() {
            self.state = State::Ended;
        }
        Poll::Ready(match polled {
            None => None,
            Some(Ok(frame)) => {
                self.keep(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error: Arc<dyn Error + Send + Sync> = Arc::from(error.into());
                self.state = State::Failed(Arc::clone(&error));
                Some(Err(ReplayError::Client(error)))
            }
        })
    }
}

impl<B> Shared<B> {
    fn is_kept(&self) -> bool {
        self.keeping == Keeping::All || matches!(self.state, State::Untouched)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
        if self.keeping == Keeping::All && self.charge(self.kept.len() + data.len()) {
            self.kept.extend_from_slice(data);
        } else {
            self.keeping = Keeping::Nothing;
            self.forget();
        }
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

    fn nothing_left_for(&self, sending: &Sending<B>) -> bool {
        self.turn == sending.turn
            && self.kept.len() == sending.position
            && self.trailers.is_some() == sending.trailers_sent
    }

    fn forget(&mut self) {
        self.kept = Vec::new();
        self.budget.give_back(std::mem::take(&mut self.charged));
    }
}

impl<B> Drop for Shared<B> {
    fn drop(&mut self) {
        self.forget();
    }
}

impl<B> Body for Attempt<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        match &mut self.0 {
            None => Poll::Ready(None),
            Some(sending) => sending.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| {
            let shared = lock(&sending.shared);
            matches!(shared.state, State::Ended) && shared.nothing_left_for(sending)
        })
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first frame, for the framing of the message.
        self.0.as_ref().map_or(SizeHint::with_exact(0), |sending| lock(&sending.shared).hint)
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(end) = Pin::new(upload).poll(context)
        {
            self.upload = None;
            if end.is_err() {
                return Poll::Ready(Some(Err(ReplayError::Abandoned)));
            }
        }
        if let Some(Hold(hold)) = &mut self.hold {
            // Whether it was asked for or took too long.
            let _ = ready!(hold.as_mut().poll(context));
            self.hold = None;
        }
        let mut shared = lock(&self.shared);
        if shared.turn != self.turn {
            return Poll::Pending;
        }
        let rest = shared.kept.get(self.position..).unwrap_or_default();
        if let Some(next) = rest.chunks(FRAME).next() {
            self.position += next.len();
            return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(next)))));
        }
        if let Some(trailers) = shared.trailers.as_ref().filter(|_| !self.trailers_sent) {
            self.trailers_sent = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        let polled = shared.poll_source(context);
        self.position = shared.kept.len();
        self.trailers_sent = shared.trailers.is_some();
        polled
    }
}

/// What is kept is a task's data; only its size is shown.
impl<B> fmt::Debug for Shared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

/// A panic while the lock was held leaves nothing half done that matters: go on with what is there.
fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
