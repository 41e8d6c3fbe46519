//! The connection pool: keeps connections to upstreams between requests, and shares HTTP/2 connections.

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

/// Makes connections to upstreams, and keeps them while they are idle.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    max_open: usize,
    origins: RefCell<HashMap<Arc<Origin>, Connections>>,
    /// Whether the task that closes idle connections is running.
    sweeping: Cell<bool>,
    this: Weak<Self>,
}

/// The connections to one upstream.
#[derive(Debug, Default)]
struct Connections {
    /// The idle HTTP/1.1 connections, the most recently used last.
    http1: Vec<Idle>,
    http2: Vec<Rc<Http2Connection>>,
    /// Whether the last new connection used HTTP/2; `None` if there was none yet.
    speaks_http2: Option<bool>,
    /// The number of connections that are being made.
    connecting: usize,
    /// Notified when an HTTP/2 connection may have capacity for a request.
    changed: Rc<Notify>,
}

#[derive(Debug)]
struct Idle {
    connection: Http1Connection,
    since: Instant,
}

/// An HTTP/1.1 connection or an HTTP/2 stream, for one request.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(Http1Connection),
    Http2(Http2Stream),
}

/// Which connections a request may reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// Any connection. If the upstream is closing it at the same time, the request can be sent again.
    Any,
    /// Only HTTP/2 connections, for a request that must not be sent twice: an upstream that closes one
    /// says which requests it has not processed (RFC 9113 section 6.8).
    Http2,
}

/// The maximum number of idle HTTP/1.1 connections to all upstreams. Without it a task that sends requests
/// to many hosts could use up the file descriptors.
const MAX_IDLE: usize = 512;

/// The maximum number of HTTP/2 connections to one upstream. An upstream may allow only one concurrent
/// request on each.
const MAX_HTTP2_CONNECTIONS: usize = 32;

/// The minimum interval between two searches for idle connections.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// When an HTTP/2 connection may have capacity for one more request.
enum Capacity {
    /// When the connection that is being made is established.
    WhenConnected(Rc<Notify>),
    /// When another request ends.
    WhenReleased(Rc<Notify>),
}

impl Pool {
    /// Keeps connections for `idle_timeout` while no request uses them. When `max_open` connections are
    /// open, an idle one is closed before another one is made.
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

    /// The route of new connections to `origin`.
    pub(super) fn route(&self, origin: &Origin) -> Route<'_> {
        self.connector.route(origin)
    }

    /// Returns a connection to `origin`: an existing one if `reuse` allows it, else a new one.
    pub(super) async fn acquire(
        &self,
        origin: &Arc<Origin>,
        reuse: Reuse,
    ) -> Result<Connection, UpstreamError> {
        let deadline = Instant::now() + self.connector.timeout();
        loop {
            if let Some(connection) = self.take_existing(origin, reuse) {
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

    /// Returns what a request should wait for, or `None` if it should make a new connection.
    fn next_capacity(&self, origin: &Arc<Origin>) -> Option<Capacity> {
        let mut origins = self.origins.borrow_mut();
        let connections = origins.get_mut(origin)?;
        connections.http2.retain(|connection| !connection.is_over());
        let usable = connections.http2.iter().filter(|connection| !connection.is_suspect()).count();
        let changed = Rc::clone(&connections.changed);
        // Whether an upstream supports HTTP/2 is known after the first connection.
        if connections.connecting > 0 && connections.speaks_http2.unwrap_or(origin.is_secure()) {
            Some(Capacity::WhenConnected(changed))
        } else if usable >= MAX_HTTP2_CONNECTIONS {
            Some(Capacity::WhenReleased(changed))
        } else {
            None
        }
    }

    fn take_existing(&self, origin: &Arc<Origin>, reuse: Reuse) -> Option<Connection> {
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
                    // Lets the task of the closed connection end, which frees its descriptor.
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

    /// Returns an HTTP/1.1 connection to the pool after its request and response have ended.
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

    /// The number of open connections.
    fn open(&self) -> usize {
        let origins = self.origins.borrow();
        let http2 = origins.values().map(|connections| connections.http2.len());
        self.connector.open_http1() + http2.sum::<usize>()
    }

    /// Closes the connection that has been idle for the longest time. Returns `false` if none is idle.
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

    /// Starts the task that closes connections whose idle timeout has expired, if it is not running. It
    /// ends when there are no connections.
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
    /// The time since which a connection has been idle for the longest.
    fn idle_since(&self) -> Option<Instant> {
        // HTTP/1.1 connections are in the order of their last use.
        let http1 = self.http1.first().map(|idle| idle.since);
        let http2 = self.http2.iter().filter_map(|connection| connection.idle_since());
        http1.into_iter().chain(http2).min()
    }

    /// Closes the connections that were not used after `until`. Returns whether any are left.
    fn close_idle(&mut self, until: Option<Instant>) -> bool {
        let is_recent = |since: Instant| until.is_none_or(|until| since > until);
        self.http1.retain(|idle| !idle.connection.is_closed() && is_recent(idle.since));
        self.http2.retain(|connection| {
            !connection.is_over() && connection.idle_since().is_none_or(is_recent)
        });
        !(self.http1.is_empty() && self.http2.is_empty() && self.connecting == 0)
    }
}

/// Counts a connection that is being made, for which other requests may wait.
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
