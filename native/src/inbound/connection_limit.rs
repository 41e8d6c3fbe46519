//! The limit of connections that are served at once; further ones get 503.

use crate::telemetry::counted;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::pending;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
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
    /// The connections with a permit of `rejections`, the oldest first.
    rejected: VecDeque<Weak<Rejected>>,
    last_rejection: Option<Instant>,
    /// How long the next connection waits before it takes the permit of a silent one.
    patience: Duration,
}

/// What to do with a connection.
#[derive(Debug)]
pub(super) enum Permit {
    /// Serve it, and hold the permit until it ends.
    Serve(OwnedSemaphorePermit),
    /// Respond with 503, and hold the permit until that is done.
    Reject(OwnedSemaphorePermit, Rc<Rejected>),
    /// Close it without a response.
    Close,
}

/// The state of a connection that gets 503.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    has_request: Cell<bool>,
    evict: Notify,
}

/// The maximum of connections that get 503 at the same time, if `limit` connections are served.
pub fn max_rejections(limit: usize) -> usize {
    (limit / 2).clamp(1, 32)
}

/// How long a connection waits for a permit before it is closed. No other connection is accepted
/// meanwhile. Rejecting a client that has sent its request takes a few milliseconds.
const WAIT: Duration = Duration::from_millis(500);

/// How long the first connection of a burst waits for a permit before a connection without a request is
/// closed to free one. Each further one waits half as long: in total 400 ms, however many silent
/// connections there are.
const PATIENCE: Duration = Duration::from_millis(200);

/// Rejections with a shorter time between them are one burst, which is logged once.
const BURST: Duration = Duration::from_secs(1);

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            limit,
            connections: Arc::new(Semaphore::new(limit)),
            rejections: Arc::new(Semaphore::new(max_rejections(limit))),
            rejected: VecDeque::new(),
            last_rejection: None,
            patience: PATIENCE,
        }
    }

    /// Decides what to do with a new connection.
    pub(super) async fn acquire(&mut self) -> Permit {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Permit::Serve(permit);
        }
        let now = Instant::now();
        if self.last_rejection.is_none_or(|last| now.duration_since(last) > BURST) {
            self.patience = PATIENCE;
            let connections = counted(self.limit, "connection", "connections");
            tracing::warn!(
                "no room for more than {connections} at once (--max-connections, or ulimit -n): further ones \
                 are rejected"
            );
        }
        self.last_rejection = Some(now);
        if let Some(permit) = self.wait(self.patience).await {
            return permit;
        }
        self.patience /= 2;
        self.evict_oldest();
        self.wait(WAIT).await.unwrap_or(Permit::Close)
    }

    async fn wait(&mut self, time: Duration) -> Option<Permit> {
        let elapsed = async {
            // A timer takes at least a millisecond.
            if time >= Duration::from_millis(1) {
                sleep(time).await;
            }
        };
        let place = tokio::select! {
            biased;
            // Neither semaphore is ever closed.
            Ok(permit) = Arc::clone(&self.connections).acquire_owned() => {
                return Some(Permit::Serve(permit));
            }
            Ok(place) = Arc::clone(&self.rejections).acquire_owned() => place,
            () = elapsed => return None,
        };
        let rejected = Rc::default();
        self.rejected.retain(|rejected| rejected.strong_count() > 0);
        self.rejected.push_back(Rc::downgrade(&rejected));
        Some(Permit::Reject(place, rejected))
    }

    /// Lets the connection that has waited for longest without sending a request be closed.
    fn evict_oldest(&mut self) {
        while let Some(oldest) = self.rejected.pop_front() {
            if let Some(rejected) = oldest.upgrade()
                && !rejected.has_request.get()
            {
                return rejected.evict.notify_one();
            }
        }
    }
}

impl Permit {
    /// The state of the connection if it gets 503.
    pub(super) fn rejected(&self) -> Option<Rc<Rejected>> {
        match self {
            Self::Reject(_, rejected) => Some(Rc::clone(rejected)),
            Self::Serve(_) | Self::Close => None,
        }
    }
}

impl Rejected {
    /// Records that its request was received, so that it gets its response.
    pub(super) fn record_request(&self) {
        self.has_request.set(true);
    }

    /// Ready when another connection needs the permit, and no request has been received.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
        // What has already been sent is read meanwhile: the runtime polls the sockets between two turns.
        for _ in 0..2 {
            yield_now().await;
        }
        if self.has_request.get() {
            pending().await
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
        assert!(matches!(rejected, Permit::Reject(..)));
        assert!(matches!(limit.acquire().await, Permit::Close));
        let (next, ()) = tokio::join!(limit.acquire(), async { drop(rejected) });
        assert!(matches!(next, Permit::Reject(..)));
        drop(first);
        assert!(matches!(limit.acquire().await, Permit::Serve(_)));
    }

    /// Waits for its eviction in a task of its own, as a connection does.
    fn hold(permit: Permit) -> Rc<Rejected> {
        let Permit::Reject(place, rejected) = permit else { panic!("{permit:?}") };
        let connection = Rc::clone(&rejected);
        tokio::task::spawn_local(async move {
            connection.evicted().await;
            drop(place);
        });
        rejected
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connections_make_room_and_those_with_a_request_do_not() {
        let connections = async {
            let mut limit = ConnectionLimit::new(4);
            let mut served = Vec::new();
            for _ in 0..4 {
                served.push(limit.acquire().await);
            }
            let start = Instant::now();
            let first = hold(limit.acquire().await);
            first.record_request();
            for _ in 0..1000 {
                hold(limit.acquire().await);
            }
            assert!(start.elapsed() < 3 * PATIENCE, "{:?}", start.elapsed());
            // One that has been asked to make room, but has received its request by then.
            hold(limit.acquire().await).record_request();
            assert!(matches!(limit.acquire().await, Permit::Close));
        };
        tokio::task::LocalSet::new().run_until(connections).await;
    }
}
