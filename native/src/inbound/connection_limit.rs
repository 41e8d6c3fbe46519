//! The limit of connections that are served at once; those beyond it get 503.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Permits for a limited number of connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    limit: usize,
    connections: Arc<Semaphore>,
    /// Connections that get 503. When these are too many as well, further ones are closed without a
    /// response: a flood must not cost what the limit saves.
    rejections: Arc<Semaphore>,
    last_rejection: Option<Instant>,
}

/// What to do with a connection.
#[derive(Debug)]
pub(super) enum Permit {
    /// Serve it; the permit is held until it ends.
    Serve(OwnedSemaphorePermit),
    /// Respond 503; the permit is held until that is done.
    Reject(OwnedSemaphorePermit),
    /// Close it.
    Close,
}

/// How many connections can get 503 at once.
const MAX_REJECTIONS: usize = 32;

/// Rejections with less than this between them are one burst, logged once.
const BURST: Duration = Duration::from_secs(1);

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            limit,
            connections: Arc::new(Semaphore::new(limit)),
            rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
            last_rejection: None,
        }
    }

    /// Decides about one more connection.
    pub(super) fn acquire(&mut self) -> Permit {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Permit::Serve(permit);
        }
        let now = Instant::now();
        if self.last_rejection.is_none_or(|last| now.duration_since(last) > BURST) {
            tracing::warn!(
                "no room for more than {} connections at once (--max-connections): the next ones are \
                 turned away",
                self.limit
            );
        }
        self.last_rejection = Some(now);
        match Arc::clone(&self.rejections).try_acquire_owned() {
            Ok(permit) => Permit::Reject(permit),
            Err(_) => Permit::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_frees_its_permit() {
        let mut limit = ConnectionLimit::new(1);
        let first = limit.acquire();
        assert!(matches!(first, Permit::Serve(_)));
        let rejected: Vec<Permit> = (0..MAX_REJECTIONS).map(|_| limit.acquire()).collect();
        assert!(rejected.iter().all(|permit| matches!(permit, Permit::Reject(_))));
        assert!(matches!(limit.acquire(), Permit::Close));
        drop(rejected);
        assert!(matches!(limit.acquire(), Permit::Reject(_)));
        drop(first);
        assert!(matches!(limit.acquire(), Permit::Serve(_)));
    }
}
