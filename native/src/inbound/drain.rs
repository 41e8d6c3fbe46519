//! The graceful shutdown of clients' connections: tells them to end, and waits until they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The state of the graceful shutdown, and the number of open connections.
#[derive(Debug)]
pub struct Drain {
    begun: CancellationToken,
    connections: TaskTracker,
    aborted: Arc<AtomicBool>,
}

/// An open connection: the drain waits until this is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    begun: CancellationToken,
    _connection: TaskTrackerToken,
}

impl Default for Drain {
    fn default() -> Self {
        let connections = TaskTracker::new();
        // `wait` only ends for a closed tracker; a closed one still counts connections.
        connections.close();
        Self { begun: CancellationToken::new(), connections, aborted: Arc::default() }
    }
}

impl Drain {
    /// Tells all connections to end after their current request.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Records that the connections that are still open are aborted from now on.
    pub fn mark_aborted(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// A flag that is set by [`Self::mark_aborted`]: requests that end after that were aborted by the proxy.
    pub fn aborted_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.aborted)
    }

    /// Counts a new connection.
    pub fn open(&self) -> OpenConnection {
        OpenConnection { begun: self.begun.clone(), _connection: self.connections.token() }
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Waits until the drain has begun and no connection is open.
    pub async fn drained(&self) {
        self.connections.wait().await;
    }
}

impl OpenConnection {
    /// Waits until the drain begins. The connection must then end after its current request.
    pub async fn draining(&self) {
        self.begun.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn the_last_connection_ends_the_wait() {
        let drain = Drain::default();
        let (first, second) = (drain.open(), drain.open());
        let waiting = tokio::spawn(async move { first.draining().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !drain.has_begun());
        drain.begin();
        waiting.await.unwrap();
        second.draining().await;
        let second_open = Duration::from_secs(1);
        assert!(timeout(second_open, drain.drained()).await.is_err());
        tokio::spawn(async move { drop(second) });
        drain.drained().await;
        assert_eq!(drain.connections(), 0);
    }
}
