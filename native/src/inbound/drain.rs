//! The end of serving: connections are told of it, and are waited for.

use crate::os::count::Count;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Whether the proxy is to end, and how many connections are open.
#[derive(Debug, Default)]
pub struct Drain {
    begun: AtomicBool,
    cut_off: AtomicBool,
    bell: Notify,
    open: Count,
}

/// A connection that is waited for until this is dropped.
#[derive(Debug)]
pub struct Open(Arc<Drain>);

impl Drain {
    /// Tells all connections to end after the request that they are at.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }

    /// Whether they were told. Costs one load: requests ask for it, and have nothing to wait for.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whoever is not done yet is cut off now.
    pub fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Waits until they are told.
    pub async fn begun(&self) {
        // Listening begins before looking, so that no bell rings in between.
        let bell = self.bell.notified();
        if !self.has_begun() {
            bell.await;
        }
    }

    /// Counts one more connection.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.begin();
        Open(Arc::clone(self))
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open.get()
    }

    /// Waits until none is open.
    pub async fn drained(&self) {
        self.open.none().await;
    }
}

impl Open {
    /// Waits until the connection is to end after the request that it is at.
    pub async fn told_to_end(&self) {
        self.0.begun().await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn the_last_connection_ends_the_wait() {
        let drain = Arc::new(Drain::default());
        drain.drained().await;
        let (first, second) = (drain.open(), drain.open());
        let told = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.begun().await }
        });
        tokio::task::yield_now().await;
        assert!(!told.is_finished() && !drain.has_begun());
        drain.begin();
        told.await.unwrap();
        drain.begun().await;
        drop(first);
        let second_open = Duration::from_secs(1);
        assert!(timeout(second_open, drain.drained()).await.is_err());
        tokio::spawn(async move { drop(second) });
        drain.drained().await;
        assert_eq!(drain.connections(), 0);
    }
}
