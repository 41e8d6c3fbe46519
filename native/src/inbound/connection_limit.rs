//! How many connections are served at once, and what those beyond are told.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// Room for so many connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    most: usize,
    connections: Arc<Semaphore>,
    /// Those that are responded to with 503. When these are too many, too, one waits until another ends,
    /// and is closed without a response if that takes too long: a flood must not cost what the limit is to
    /// save.
    rejections: Arc<Semaphore>,
    last_refusal: Option<Instant>,
}

/// What becomes of a connection.
#[derive(Debug)]
pub(super) enum Room {
    /// It is served while this lives.
    Here(OwnedSemaphorePermit),
    /// It is told that there is none, while this lives.
    None(OwnedSemaphorePermit),
    /// It is closed.
    NotEvenForThat,
}

/// How many connections are responded to with 503 at once, where `most` are served.
pub(crate) fn max_rejections(most: usize) -> usize {
    (most / 2).clamp(1, 32)
}

/// How long a connection waits for being served or rejected, before it is closed. No other is accepted
/// meanwhile. A client that sends its request at once is rejected within a few milliseconds.
const WAIT: Duration = Duration::from_millis(500);

/// Rejections with less than this between them are one burst, logged once.
const BURST: Duration = Duration::from_secs(1);

impl ConnectionLimit {
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            most,
            connections: Arc::new(Semaphore::new(most)),
            rejections: Arc::new(Semaphore::new(max_rejections(most))),
            last_refusal: None,
        }
    }

    /// For one more connection.
    pub(super) async fn room(&mut self) -> Room {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Room::Here(permit);
        }
        let now = Instant::now();
        if self.last_refusal.is_none_or(|last| now.duration_since(last) > BURST) {
            tracing::warn!(
                "no room for more than {} connections at once (--max-connections): the next ones are \
                 turned away",
                self.most
            );
        }
        self.last_refusal = Some(now);
        tokio::select! {
            biased;
            // Neither semaphore is ever closed.
            Ok(permit) = Arc::clone(&self.connections).acquire_owned() => Room::Here(permit),
            Ok(permit) = Arc::clone(&self.rejections).acquire_owned() => Room::None(permit),
            () = sleep(WAIT) => Room::NotEvenForThat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_makes_room_when_it_ends() {
        let mut limit = ConnectionLimit::new(1);
        let first = limit.room().await;
        assert!(matches!(first, Room::Here(_)));
        let rejected = limit.room().await;
        assert!(matches!(rejected, Room::None(_)));
        assert!(matches!(limit.room().await, Room::NotEvenForThat));
        tokio::spawn(async move { drop(rejected) });
        assert!(matches!(limit.room().await, Room::None(_)));
        drop(first);
        assert!(matches!(limit.room().await, Room::Here(_)));
    }
}
