//! The part of a request's body that is kept for another attempt, and the budget of all requests for that.

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

/// What is kept of a body.
pub(super) struct ReplayBuffer {
    budget: Arc<ReplayBudget>,
    pub(super) bytes: Vec<u8>,
    /// How much of the budget is taken: an announced length at once, so that a body that is said to
    /// fit does.
    pub(super) charged: usize,
    pub(super) keeping: bool,
}

impl ReplayBuffer {
    pub(super) fn new(budget: &Arc<ReplayBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: Vec::new(), charged: 0, keeping: true }
    }

    /// Keeps what was read, if it fits; if not, all that was kept is gone.
    pub(super) fn keep(&mut self, data: &[u8]) {
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
    pub(super) fn free(&mut self) {
        self.bytes = Vec::new();
        self.budget.give_back(std::mem::take(&mut self.charged));
    }

    /// Makes room for so much; `false` if there is none.
    pub(super) fn charge(&mut self, length: usize) -> bool {
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
