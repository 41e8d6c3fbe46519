//! A request body that can be sent again, as long as it fits the replay buffer.

use crate::http1::{Fields, Framing};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The body of one request: what came of it, and whether that is still there.
pub struct Body {
    framing: Framing,
    progress: Progress,
    budget: Arc<ReplayBudget>,
    kept: Vec<u8>,
    trailers: Fields,
    /// How much of the budget is taken: a length that the client told at once, so that a body that
    /// is said to fit does.
    charged: usize,
    keeping: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody has asked for it yet: a client that said `Expect: 100-continue` has not been told to
    /// send it.
    Untouched,
    Coming,
    Ended,
}

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

impl Body {
    /// A body framed like this, of which as much is kept as `budget` goes.
    pub fn new(framing: Framing, budget: &Arc<ReplayBudget>) -> Self {
        let empty = framing == Framing::Empty;
        let mut body = Self {
            framing,
            progress: if empty { Progress::Ended } else { Progress::Untouched },
            budget: Arc::clone(budget),
            kept: Vec::new(),
            trailers: Fields::default(),
            charged: 0,
            keeping: true,
        };
        if let Framing::Length(length) = framing {
            // A body that does not fit is kept for as long as it does.
            let _ = usize::try_from(length).is_ok_and(|length| body.charge(length));
        }
        body
    }

    /// How the end of it is found.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether all that came so far is still there.
    pub fn is_kept(&self) -> bool {
        self.keeping || self.progress == Progress::Untouched
    }

    /// Whether all of it will be kept; `false` if the client does not tell its length.
    pub fn will_fit(&self) -> bool {
        match self.framing {
            Framing::Length(length) => self.keeping && length <= self.charged as u64,
            framing => framing == Framing::Empty,
        }
    }

    /// Whether nobody has asked for it yet.
    pub fn is_untouched(&self) -> bool {
        self.progress == Progress::Untouched
    }

    /// How much of it was taken.
    pub fn taken(&self) -> Taken {
        match self.progress {
            Progress::Untouched => Taken::Nothing,
            Progress::Coming => Taken::Part,
            Progress::Ended => Taken::All,
        }
    }

    /// There will be no further attempt: what comes from now on is not kept.
    pub fn stop_keeping(&mut self) {
        self.keeping = false;
    }

    /// What is kept from `position` on.
    pub(super) fn kept(&self, position: usize) -> &[u8] {
        self.kept.get(position..).unwrap_or_default()
    }

    /// What came after it.
    pub(super) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    pub(super) fn has_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    pub(super) fn ask(&mut self) {
        if self.progress == Progress::Untouched {
            self.progress = Progress::Coming;
        }
    }

    /// Keeps what comes next, if it fits; if not, all that was kept is gone.
    pub(super) fn keep(&mut self, data: &[u8]) -> bool {
        if self.keeping && self.charge(self.kept.len() + data.len()) {
            if self.kept.is_empty() {
                // As much as the client said will come: a copy that grows is copied again.
                self.kept.reserve_exact(self.charged);
            }
            self.kept.extend_from_slice(data);
        } else {
            self.keeping = false;
            self.kept = Vec::new();
            self.budget.give_back(std::mem::take(&mut self.charged));
        }
        self.keeping
    }

    pub(super) fn end(&mut self, trailers: &Fields) {
        self.progress = Progress::Ended;
        self.trailers.clone_from(trailers);
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

impl Drop for Body {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

/// What is kept is a task's data; only its size is shown.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(each: usize, all: usize) -> Arc<ReplayBudget> {
        Arc::new(ReplayBudget::new(each, all))
    }

    fn left(budget: &ReplayBudget) -> usize {
        budget.left.load(Ordering::Relaxed)
    }

    #[test]
    fn a_length_is_charged_at_once() {
        let budget = budget(4, 6);
        let body = Body::new(Framing::Length(4), &budget);
        assert!(body.will_fit());
        assert_eq!(left(&budget), 2);
        let second = Body::new(Framing::Length(4), &budget);
        assert!(second.is_kept() && !second.will_fit());
        drop((body, second));
        assert_eq!(left(&budget), 6);
        assert!(!Body::new(Framing::Length(5), &budget).will_fit());
        assert!(!Body::new(Framing::Chunked, &budget).will_fit());
        assert!(Body::new(Framing::Empty, &budget).will_fit());
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_makes_room() {
        let budget = budget(4, 6);
        let mut body = Body::new(Framing::Chunked, &budget);
        assert_eq!(body.taken(), Taken::Nothing);
        body.ask();
        assert!(body.keep(b"bod"));
        assert_eq!((body.kept(1), left(&budget), body.is_kept()), (&b"od"[..], 3, true));
        assert!(!body.keep(b"dy"));
        assert_eq!((body.kept(0), left(&budget), body.is_kept()), (&b""[..], 6, false));
        assert!(!body.keep(b"!"));
        assert_eq!(body.taken(), Taken::Part);
        body.end(&Fields::default());
        assert_eq!(body.taken(), Taken::All);
    }

    #[test]
    fn what_nobody_asked_for_can_be_asked_for_again() {
        let mut body = Body::new(Framing::Length(9), &budget(4, 4));
        body.stop_keeping();
        assert!(body.is_kept());
        body.ask();
        assert!(!body.is_kept());
    }
}
