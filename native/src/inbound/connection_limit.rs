//! The limit of connections that are served at once; further ones get 503.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// Permits for a limited number of connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    limit: usize,
    connections: Arc<Semaphore>,
    /// Limits the connections that get 503 at the same time, so that a flood cannot exhaust memory and
    /// descriptors with them. A connection beyond this limit waits for a permit, and is closed without a
    /// response if that takes too long.
    rejections: Arc<Semaphore>,
    last_rejection: Option<Instant>,
}

/// What to do with a connection.
#[derive(Debug)]
pub(super) enum Permit {
    /// Serve it, and hold the permit until it ends.
    Serve(OwnedSemaphorePermit),
    /// Respond with 503, and hold the permit until that is done.
    Reject(OwnedSemaphorePermit),
    /// Close it without a response.
    Close,
}

/// The maximum of connections that get 503 at the same time, if `limit` connections are served.
pub fn max_rejections(limit: usize) -> usize {
    (limit / 2).clamp(1, 32)
}

/// How long a connection waits for a permit before it is closed. No other connection is accepted
/// meanwhile. Rejecting a client that has sent its request takes a few milliseconds.
const WAIT: Duration = Duration::from_millis(500);

/// Rejections with a shorter time between them are one burst, which is logged once.
const BURST: Duration = Duration::from_secs(1);

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            limit,
            connections: Arc::new(Semaphore::new(limit)),
            rejections: Arc::new(Semaphore::new(max_rejections(limit))),
            last_rejection: None,
        }
    }

    /// Decides what to do with a new connection.
    pub(super) async fn acquire(&mut self) -> Permit {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Permit::Serve(permit);
        }
        let now = Instant::now();
        if self.last_rejection.is_none_or(|last| now.duration_since(last) > BURST) {
            let connections = if self.limit == 1 { "connection" } else { "connections" };
            tracing::warn!(
                "no room for more than {} {connections} at once (--max-connections): further ones \
                 are rejected",
                self.limit
            );
        }
        self.last_rejection = Some(now);
        tokio::select! {
            biased;
            // Neither semaphore is ever closed.
            Ok(permit) = Arc::clone(&self.connections).acquire_owned() => Permit::Serve(permit),
            Ok(permit) = Arc::clone(&self.rejections).acquire_owned() => Permit::Reject(permit),
            () = sleep(WAIT) => Permit::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_frees_its_permit() {
        let mut limit = ConnectionLimit::new(1);
        let first = limit.acquire().await;
        assert!(matches!(first, Permit::Serve(_)));
        let rejected = limit.acquire().await;
        assert!(matches!(rejected, Permit::Reject(_)));
        assert!(matches!(limit.acquire().await, Permit::Close));
        tokio::spawn(async move { drop(rejected) });
        assert!(matches!(limit.acquire().await, Permit::Reject(_)));
        drop(first);
        assert!(matches!(limit.acquire().await, Permit::Serve(_)));
    }
}
