//! Synchronization between the threads of a test.

use crate::DEADLINE;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// State that threads share. Each change wakes the threads that wait.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `read` returns something; `None` at the [`DEADLINE`].
    pub(crate) fn wait_for<R>(&self, read: impl FnMut(&T) -> Option<R>) -> Option<R> {
        self.wait_for_within(DEADLINE, read)
    }

    /// The same with another timeout.
    pub(crate) fn wait_for_within<R>(
        &self,
        timeout: Duration,
        mut read: impl FnMut(&T) -> Option<R>,
    ) -> Option<R> {
        let mut found = None;
        let waiting = |state: &mut T| {
            found = read(state);
            found.is_none()
        };
        let guard = self.changed.wait_timeout_while(self.lock(), timeout, waiting);
        drop(guard);
        found
    }

    /// Ignores poisoning, so that a failure in another thread is reported as such.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes threads wait until a test opens it: a [`ScriptedResponse`](crate::ScriptedResponse) can wait
/// for it half-way.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Watched<bool>>);

impl Latch {
    /// A closed latch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good: nothing waits for it from now on.
    pub fn open(&self) {
        self.0.change(|open| *open = true);
    }

    /// Waits until the latch is open; `false` at the deadline.
    pub fn wait(&self) -> bool {
        self.0.wait_for(|open| open.then_some(())).is_some()
    }
}
