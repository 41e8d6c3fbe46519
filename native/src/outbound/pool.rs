//! Connections to upstreams, kept between requests, and shared where HTTP/2 allows it.

use super::connect::{ConnectProgress, Connector, Protocol};
use super::connect_error::ConnectError;
use super::error::UpstreamError;
use super::forward_proxy::Route;
use super::http1::Http1Connection;
use super::http2::{Http2Connection, Http2Stream};
use super::origin::Origin;
use crate::os::process;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout_at};

/// Makes connections and keeps them while no request uses them.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    max_open: usize,
    origins: RefCell<HashMap<Arc<Origin>, Connections>>,
    /// A task closes idle connections from time to time, as long as there are any.
    sweeping: Cell<bool>,
    this: Weak<Self>,
}

/// The connections to one upstream.
#[derive(Debug, Default)]
struct Connections {
    /// Idle ones over HTTP/1.1; the one used last comes last.
    http1: Vec<Idle>,
    http2: Vec<Rc<Http2Connection>>,
    /// Whether the last connection was one of HTTP/2; `None`: there was none yet.
    speaks_http2: Option<bool>,
    /// How many connections are being made.
    connecting: usize,
    /// Told when a request may find room on a connection of HTTP/2.
    changed: Rc<Notify>,
}

#[derive(Debug)]
struct Idle {
    connection: Http1Connection,
    since: Instant,
}

/// A connection, or a place on one, for one request.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(Http1Connection),
    Http2(Http2Stream),
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// Any: should the upstream be closing it this very moment, the request can be sent again.
    Any,
    /// A new one, or one of HTTP/2, where an upstream says which requests it has not processed before
    /// it closes (RFC 9113 section 6.8): the request must not be sent twice.
    Http2,
}

/// More idle connections than this are not kept, whatever they lead to: a task that asks one host
/// after the other would use up the descriptors.
const MAX_IDLE: usize = 512;

/// More connections of HTTP/2 than this are not made to one upstream, for an upstream may take one
/// request at a time on each.
const MAX_HTTP2_CONNECTIONS: usize = 32;

/// Idle connections are looked for no more often than this.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// When a connection that other requests use may have capacity for one more.
enum Capacity {
    /// When the connection that is being made is there.
    WhenConnected(Rc<Notify>),
    /// When a request ends.
    WhenReleased(Rc<Notify>),
}

impl Pool {
    /// Connections made by `connector` are kept for `idle_timeout` when no request uses them, as long as
    /// no more than `max_open` are open in all.
    pub(super) fn new(connector: Connector, idle_timeout: Duration, max_open: usize) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            connector,
            idle_timeout,
            max_open,
            origins: RefCell::default(),
            sweeping: Cell::new(false),
            this: this.clone(),
        })
    }

    /// How new connections to `origin` are made.
    pub(super) fn route(&self, origin: &Origin) -> Route<'_> {
        self.connector.route(origin)
    }

    /// A connection to `origin`: one that there is, or a new one.
    pub(super) async fn acquire(
        &self,
        origin: &Arc<Origin>,
        reuse: Reuse,
    ) -> Result<Connection, UpstreamError> {
        let deadline = Instant::now() + self.connector.timeout();
        loop {
            if let Some(connection) = self.take(origin, reuse) {
                return Ok(connection);
            }
            let Some(capacity) = self.next_capacity(origin) else {
                return self.connect(origin).await;
            };
            let timeout = self.connector.timeout();
            let (changed, late) = match capacity {
                Capacity::WhenConnected(changed) => {
                    (changed, UpstreamError::ConnectTimeout(timeout, ConnectProgress::Waiting))
                }
                Capacity::WhenReleased(changed) => (changed, UpstreamError::Busy(timeout)),
            };
            timeout_at(deadline, changed.notified()).await.map_err(|_| late)?;
        }
    }

    /// When a connection that there is, or that is being made, may have capacity for a request, where that
    /// is sooner than a connection of its own.
    fn next_capacity(&self, origin: &Arc<Origin>) -> Option<Capacity> {
        let mut origins = self.origins.borrow_mut();
        let connections = origins.get_mut(origin)?;
        connections.http2.retain(|connection| !connection.is_over());
        let usable = connections.http2.iter().filter(|connection| !connection.is_suspect()).count();
        let changed = Rc::clone(&connections.changed);
        // What an upstream speaks shows with its first connection.
        if connections.connecting > 0 && connections.speaks_http2.unwrap_or(origin.is_secure()) {
            Some(Capacity::WhenConnected(changed))
        } else if usable >= MAX_HTTP2_CONNECTIONS {
            Some(Capacity::WhenReleased(changed))
        } else {
            None
        }
    }

    fn take(&self, origin: &Arc<Origin>, reuse: Reuse) -> Option<Connection> {
        let mut origins = self.origins.borrow_mut();
        let connections = origins.get_mut(origin)?;
        while let Some(idle) = connections.http1.pop_if(|_| reuse == Reuse::Any) {
            if idle.connection.is_usable() && idle.since.elapsed() < self.idle_timeout {
                return Some(Connection::Http1(idle.connection.reuse()));
            }
        }
        connections.http2.iter().find_map(Http2Connection::stream).map(Connection::Http2)
    }

    async fn connect(&self, origin: &Arc<Origin>) -> Result<Connection, UpstreamError> {
        let connecting = Connecting::begin(self, origin);
        if self.open() >= self.max_open {
            self.close_oldest();
        }
        let protocol = loop {
            match self.connector.connect(origin, &connecting.changed).await {
                Err(_) if !process::has_descriptors() && self.close_oldest() => {
                    // The task of the connection that was closed ends first.
                    yield_now().await;
                }
                connected => break connected?,
            }
        };
        let mut origins = self.origins.borrow_mut();
        let connections = origins.entry(Arc::clone(origin)).or_default();
        let connection = match protocol {
            Protocol::Http1(connection) => {
                connections.speaks_http2 = Some(false);
                Connection::Http1(connection)
            }
            Protocol::Http2(connection) => {
                let stream = connection.stream().ok_or(ConnectError::Closed)?;
                connections.speaks_http2 = Some(true);
                connections.http2.push(connection);
                Connection::Http2(stream)
            }
        };
        drop(origins);
        self.sweep();
        Ok(connection)
    }

    /// Takes back a connection of HTTP/1.1 whose request and response have ended.
    pub(super) fn put(&self, origin: &Arc<Origin>, connection: Http1Connection) {
        if connection.is_closed() {
            return;
        }
        let idle_http1 = |connections: &Connections| connections.http1.len();
        if self.origins.borrow().values().map(idle_http1).sum::<usize>() >= MAX_IDLE {
            self.close_oldest();
        }
        let mut origins = self.origins.borrow_mut();
        let idle = Idle { connection, since: Instant::now() };
        match origins.get_mut(origin) {
            Some(connections) => connections.http1.push(idle),
            None => origins.entry(Arc::clone(origin)).or_default().http1.push(idle),
        }
        drop(origins);
        self.sweep();
    }

    /// How many connections are open.
    fn open(&self) -> usize {
        let origins = self.origins.borrow();
        let http2 = origins.values().map(|connections| connections.http2.len());
        self.connector.open_http1() + http2.sum::<usize>()
    }

    /// Closes the connection that has been idle for longest; `false` if none is idle.
    fn close_oldest(&self) -> bool {
        let mut origins = self.origins.borrow_mut();
        let idle = origins
            .values_mut()
            .filter_map(|connections| Some((connections.idle_since()?, connections)));
        let Some((since, connections)) = idle.min_by_key(|(since, _)| *since) else {
            return false;
        };
        connections.close_idle(Some(since));
        true
    }

    /// Closes idle connections from time to time; ends when there is none.
    fn sweep(&self) {
        if self.sweeping.replace(true) {
            return;
        }
        let (pool, period) = (self.this.clone(), (self.idle_timeout / 4).max(MIN_PERIOD));
        spawn_local(async move {
            loop {
                sleep(period).await;
                let Some(pool) = pool.upgrade() else { return };
                let until = Instant::now().checked_sub(pool.idle_timeout);
                let mut origins = pool.origins.borrow_mut();
                origins.retain(|_, connections| connections.close_idle(until));
                if origins.is_empty() {
                    pool.sweeping.set(false);
                    return;
                }
            }
        });
    }
}

impl Connections {
    /// Since when the oldest idle one is idle.
    fn idle_since(&self) -> Option<Instant> {
        // They are in the order of their last use.
        let http1 = self.http1.first().map(|idle| idle.since);
        let http2 = self.http2.iter().filter_map(|connection| connection.idle_since());
        http1.into_iter().chain(http2).min()
    }

    /// Closes those that were not used after `until`; whether any is left.
    fn close_idle(&mut self, until: Option<Instant>) -> bool {
        let is_recent = |since: Instant| until.is_none_or(|until| since > until);
        self.http1.retain(|idle| !idle.connection.is_closed() && is_recent(idle.since));
        self.http2.retain(|connection| {
            !connection.is_over() && connection.idle_since().is_none_or(is_recent)
        });
        !(self.http1.is_empty() && self.http2.is_empty() && self.connecting == 0)
    }
}

/// A connection that is being made: others that would make one wait for it.
struct Connecting<'a> {
    pool: &'a Pool,
    origin: &'a Arc<Origin>,
    changed: Rc<Notify>,
}

impl<'a> Connecting<'a> {
    fn begin(pool: &'a Pool, origin: &'a Arc<Origin>) -> Self {
        let mut origins = pool.origins.borrow_mut();
        let connections = origins.entry(Arc::clone(origin)).or_default();
        connections.connecting += 1;
        Self { pool, origin, changed: Rc::clone(&connections.changed) }
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(connections) = self.pool.origins.borrow_mut().get_mut(self.origin) {
            connections.connecting = connections.connecting.saturating_sub(1);
        }
        self.changed.notify_waiters();
    }
}
