//! The replay buffer, which keeps a request body for another attempt, and the memory limits of all replay
//! buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory limits of replay buffers.
#[derive(Debug)]
pub struct ReplayBudget {
    /// The maximum for one request, in bytes.
    each: usize,
    /// The maximum for all requests together, in bytes.
    all: usize,
    /// The part of `all` that is not in use.
    left: AtomicUsize,
}

impl ReplayBudget {
    /// Allows at most `each` bytes for one request and `all` bytes for all requests together.
    pub fn new(each: usize, all: usize) -> Self {
        Self { each, all, left: AtomicUsize::new(all) }
    }

    /// The number of bytes in use, and the maximum.
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

/// The beginning of a body, kept for another attempt.
pub(super) struct ReplayBuffer {
    budget: Arc<ReplayBudget>,
    pub(super) bytes: Vec<u8>,
    /// The number of bytes that are charged to the budget. An announced length is charged at once, so that
    /// a body that fits at the beginning fits to its end.
    pub(super) charged: usize,
    /// Whether the buffer has all of the body received so far, and more is appended.
    pub(super) buffering: bool,
}

impl ReplayBuffer {
    pub(super) fn new(budget: &Arc<ReplayBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: Vec::new(), charged: 0, buffering: true }
    }

    /// Appends data, if it fits; otherwise frees the buffer and stops buffering.
    pub(super) fn append(&mut self, data: &[u8]) {
        if self.buffering && self.charge(self.bytes.len() + data.len()) {
            if self.bytes.is_empty() {
                // Reserves the announced length, because a buffer that grows is copied.
                self.bytes.reserve_exact(self.charged);
            }
            self.bytes.extend_from_slice(data);
        } else {
            self.buffering = false;
            self.free();
        }
    }

    /// Frees the memory, and returns it to the budget.
    pub(super) fn free(&mut self) {
        self.bytes = Vec::new();
        self.budget.give_back(std::mem::take(&mut self.charged));
    }

    /// Charges the budget so that the buffer can hold `length` bytes. Returns `false` if that exceeds a
    /// limit.
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
    fn a_body_that_does_not_fit_is_freed() {
        let budget = Arc::new(ReplayBudget::new(4, 6));
        let mut buffer = ReplayBuffer::new(&budget);
        buffer.append(b"bod");
        assert_eq!(
            (buffer.bytes.as_slice(), left(&budget), buffer.buffering),
            (&b"bod"[..], 3, true)
        );
        buffer.append(b"dy");
        assert_eq!((buffer.bytes.len(), left(&budget), buffer.buffering), (0, 6, false));
        buffer.append(b"!");
        assert_eq!((buffer.bytes.len(), left(&budget), buffer.buffering), (0, 6, false));
    }
}
