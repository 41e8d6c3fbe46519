//! How many of something are going on, and the end of the last of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A number that can be waited for to be 0.
#[derive(Debug, Default)]
pub(crate) struct Count {
    number: AtomicUsize,
    none: Notify,
}

impl Count {
    /// One more.
    pub(crate) fn begin(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// One less: each that has begun ends once.
    pub(crate) fn end(&self) {
        if self.number.fetch_sub(1, Ordering::Release) == 1 {
            self.none.notify_waiters();
        }
    }

    /// How many there are.
    pub(crate) fn get(&self) -> usize {
        self.number.load(Ordering::Acquire)
    }

    /// Waits until there is none.
    pub(crate) async fn none(&self) {
        loop {
            // Listening begins before looking, so that no wake-up falls in between.
            let none = self.none.notified();
            if self.get() == 0 {
                return;
            }
            none.await;
        }
    }
}
