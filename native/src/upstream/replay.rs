//! A request body that can be sent again, as long as it fits the replay buffer.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

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

/// A frame counts as no less than this, so that a body that trickles in cannot make the
/// bookkeeping larger than what is kept.
const LEAST_CHARGE: usize = 256;

/// The body of one request, from which each attempt gets a copy. `None`: it is empty, as
/// most are.
#[derive(Debug)]
pub struct Replay(Option<Arc<Mutex<Shared>>>);

struct Shared {
    source: Incoming,
    /// The size of the whole, as far as the client told.
    hint: SizeHint,
    budget: Arc<ReplayBudget>,
    kept: Vec<Kept>,
    charged: usize,
    keeping: Keeping,
    ended: bool,
    /// The attempt whose turn it is; others get nothing.
    turn: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// All that came so far is kept.
    All,
    /// It did not fit, or nobody will ask for it again.
    Nothing,
}

#[derive(Clone)]
enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

/// The body as one attempt sends it.
#[derive(Debug)]
pub struct Attempt {
    shared: Option<Arc<Mutex<Shared>>>,
    turn: u32,
    /// How many of the kept frames it has sent.
    position: usize,
}

/// Why an attempt's body ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The client's body did.
    #[error("the client's request ended before its time")]
    Client(#[source] hyper::Error),
    /// Another attempt has taken over.
    #[error("another attempt has taken over")]
    Superseded,
}

impl Replay {
    /// A request without a body.
    pub const EMPTY: Self = Self(None);

    /// Keeps what comes of `source` as far as `budget` goes.
    pub fn new(source: Incoming, budget: &Arc<ReplayBudget>) -> Self {
        if source.is_end_stream() {
            return Self::EMPTY;
        }
        Self(Some(Arc::new(Mutex::new(Shared {
            hint: source.size_hint(),
            source,
            budget: Arc::clone(budget),
            kept: Vec::new(),
            charged: 0,
            keeping: Keeping::All,
            ended: false,
            turn: 0,
        }))))
    }

    /// The body for the next attempt; the one before gets no more of it.
    pub fn attempt(&self) -> Attempt {
        let turn = self.shared().map_or(0, |mut shared| {
            shared.turn += 1;
            shared.turn
        });
        Attempt { shared: self.0.clone(), turn, position: 0 }
    }

    /// Whether all that came of the body so far is still there.
    pub fn is_kept(&self) -> bool {
        self.shared().is_none_or(|shared| shared.keeping == Keeping::All)
    }

    /// Whether the whole of the body will fit, as far as the client told its size.
    pub fn will_fit(&self) -> bool {
        self.shared().is_none_or(|shared| {
            shared.hint.upper().is_some_and(|size| size <= shared.budget.each as u64)
        })
    }

    /// There will be no further attempt: nothing more is kept.
    pub fn finish(&self) {
        if let Some(mut shared) = self.shared() {
            shared.keeping = Keeping::Nothing;
        }
    }

    fn shared(&self) -> Option<MutexGuard<'_, Shared>> {
        self.0.as_deref().map(lock)
    }
}

impl Shared {
    /// The next frame that the client sends, for an attempt that has sent all that was kept.
    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        let polled = match Pin::new(&mut self.source).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.keep(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            other => other.map_err(ReplayError::Client),
        };
        self.ended = matches!(polled, Poll::Ready(None)) || self.source.is_end_stream();
        polled
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let (kept, size) = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => (Kept::Data(data.clone()), data.len()),
            (_, Some(trailers)) => (Kept::Trailers(trailers.clone()), 0),
            _ => return,
        };
        let charge = size.max(LEAST_CHARGE);
        if self.keeping == Keeping::All
            && self.charged + charge <= self.budget.each.max(LEAST_CHARGE)
            && self.budget.take(charge)
        {
            self.charged += charge;
            self.kept.push(kept);
        } else {
            self.keeping = Keeping::Nothing;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.kept = Vec::new();
        self.budget.give_back(std::mem::take(&mut self.charged));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        let Self { shared, turn, position } = &mut *self;
        let Some(mut shared) = shared.as_deref().map(lock) else {
            return Poll::Ready(None);
        };
        if shared.turn != *turn {
            return Poll::Ready(Some(Err(ReplayError::Superseded)));
        }
        if let Some(kept) = shared.kept.get(*position) {
            *position += 1;
            return Poll::Ready(Some(Ok(kept.clone().into())));
        }
        if shared.ended {
            return Poll::Ready(None);
        }
        let polled = shared.poll_source(context);
        *position = shared.kept.len();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.shared
            .as_deref()
            .map(lock)
            .is_none_or(|shared| shared.ended && self.position == shared.kept.len())
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first frame, for the framing of the message.
        self.shared.as_deref().map(lock).map_or(SizeHint::with_exact(0), |shared| shared.hint)
    }
}

impl From<Kept> for Frame<Bytes> {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Data(data) => Self::data(data),
            Kept::Trailers(trailers) => Self::trailers(trailers),
        }
    }
}

/// What is kept is a task's data; only its size is shown.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size: usize = self.kept.iter().map(Kept::len).sum();
        f.debug_struct("Shared").field("kept", &size).finish_non_exhaustive()
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }
}

/// A panic while the lock was held leaves nothing half done that matters: go on with what is there.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
