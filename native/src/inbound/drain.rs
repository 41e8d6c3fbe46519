//! The drain: connections are told to end with the request that they are at, and are waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Whether the proxy drains, and how many connections of clients are open.
#[derive(Debug, Default)]
pub struct Drain {
    begun: CancellationToken,
    cut_off: AtomicBool,
    connections: TaskTracker,
}

/// A connection that is waited for until this is dropped.
#[derive(Debug)]
pub struct Open {
    begun: CancellationToken,
    _connection: TaskTrackerToken,
}

impl Drain {
    /// Tells all connections to end after the request that they are at.
    pub fn begin(&self) {
        self.begun.cancel();
        self.connections.close();
    }

    /// Whether that was done.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// From now on requests that end early were cut off by the end of the proxy.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Counts one more connection.
    pub fn open(&self) -> Open {
        Open { begun: self.begun.clone(), _connection: self.connections.token() }
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

impl Open {
    /// Waits until the connection is to end after the request that it is at.
    pub async fn told_to_end(&self) {
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
        let told = tokio::spawn(async move { first.told_to_end().await });
        tokio::task::yield_now().await;
        assert!(!told.is_finished() && !drain.has_begun());
        drain.begin();
        told.await.unwrap();
        second.told_to_end().await;
        assert_eq!(drain.connections(), 1);
        assert!(timeout(Duration::from_secs(1), drain.drained()).await.is_err());
        tokio::spawn(async move { drop(second) });
        drain.drained().await;
        assert_eq!(drain.connections(), 0);
    }
}
