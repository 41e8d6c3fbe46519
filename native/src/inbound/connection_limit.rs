//! How many connections are served at once, and what those beyond are told.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Room for so many connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    most: usize,
    connections: Arc<Semaphore>,
    /// Those that are told that there is no room. When these are too many, too, they are closed
    /// without a word: a flood must not cost what the cap is to save.
    refusals: Arc<Semaphore>,
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

/// How many connections are told at once that there is no room.
const MAX_REFUSALS: usize = 32;

/// Refusals with less than this between them are one burst, logged once.
const BURST: Duration = Duration::from_secs(1);

impl ConnectionLimit {
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            most,
            connections: Arc::new(Semaphore::new(most)),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            last_refusal: None,
        }
    }

    /// For one more connection.
    pub(super) fn room(&mut self) -> Room {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Room::Here(permit);
        }
        let now = Instant::now();
        if self.last_refusal.is_none_or(|last| now.duration_since(last) > BURST) {
            let connections = if self.most == 1 { "connection" } else { "connections" };
            tracing::warn!(
                "no room for more than {} {connections} at once (--max-connections): further ones \
                 are rejected",
                self.most
            );
        }
        self.last_refusal = Some(now);
        match Arc::clone(&self.refusals).try_acquire_owned() {
            Ok(permit) => Room::None(permit),
            Err(_) => Room::NotEvenForThat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_makes_room_when_it_ends() {
        let mut limit = ConnectionLimit::new(1);
        let first = limit.room();
        assert!(matches!(first, Room::Here(_)));
        let refused: Vec<Room> = (0..MAX_REFUSALS).map(|_| limit.room()).collect();
        assert!(refused.iter().all(|room| matches!(room, Room::None(_))));
        assert!(matches!(limit.room(), Room::NotEvenForThat));
        drop(refused);
        assert!(matches!(limit.room(), Room::None(_)));
        drop(first);
        assert!(matches!(limit.room(), Room::Here(_)));
    }
}
