//! Graceful shutdown of the clients' connections: they are told to end, and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Whether the proxy is stopping, and which connections are open.
#[derive(Debug)]
pub struct Drain {
    begun: CancellationToken,
    connections: TaskTracker,
    cut_off: Arc<AtomicBool>,
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
        // So that waiting ends when none is open; connections are counted all the same.
        connections.close();
        Self { begun: CancellationToken::new(), connections, cut_off: Arc::default() }
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

    /// Connections that are still open are aborted from now on.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Whether [`Self::cut_off`] was called: requests that end after it were aborted by the proxy.
    pub fn cut_off_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cut_off)
    }

    /// Counts one more connection.
    pub fn open(&self) -> OpenConnection {
        OpenConnection { begun: self.begun.clone(), _connection: self.connections.token() }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Waits until the drain has begun and no connection is open.
    pub async fn drained(&self) {
        self.connections.wait().await;
    }
}

impl OpenConnection {
    /// Waits until the drain begins: the connection is to end after its current request.
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
