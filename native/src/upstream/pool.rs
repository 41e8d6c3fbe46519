//! Connections that are kept between requests.

use super::connect::{Connected, Connector, Protocol};
use super::error::SendError;
use super::http2::{Opener, Stream2};
use super::link::{Carrier, Link, Via};
use super::origin::Origin;
use super::proxies::ForwardProxy;
use crate::http1::Wire;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Makes connections and keeps them while nobody uses them.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    idle: Mutex<IdleConnections>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct IdleConnections {
    by_origin: HashMap<Arc<Origin>, Vec<Idle>>,
    /// A task goes through them from time to time, as long as there are any.
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    via: Option<Via>,
    since: Instant,
}

/// One of HTTP/1.1 that nobody else uses, or a handle on one of HTTP/2 that many share.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are of HTTP/1.1; how large they are differs by system"
)]
enum Connection {
    Http1(Wire),
    Http2(Opener),
}

/// More idle connections than this are not kept, whatever they lead to: a task that asks one host
/// after the other would use up the descriptors.
const MAX_IDLE: usize = 512;

/// Rings when an idle connection is closed by the other side.
#[derive(Debug, Default)]
struct Bell(Notify);

/// Whether a connection that was used before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// Yes: should the upstream be closing it this very moment, the request can be sent again.
    Yes,
    /// Only one of HTTP/2, of which an upstream takes leave before it closes it (RFC 9113 section
    /// 6.8): the request cannot be sent twice.
    Http2,
}

impl IdleConnections {
    fn forget_oldest(&mut self) {
        // In each vector the first one is not much younger than the oldest.
        let oldest =
            self.by_origin.iter().filter_map(|(origin, same)| Some((same.first()?.since, origin)));
        let Some(origin) =
            oldest.min_by_key(|(since, _)| *since).map(|(_, origin)| Arc::clone(origin))
        else {
            return;
        };
        if let Some(same) = self.by_origin.get_mut(&origin) {
            same.remove(0);
            if same.is_empty() {
                self.by_origin.remove(&origin);
            }
        }
    }
}

impl Pool {
    /// Connections made by `connector` are kept for `idle_timeout` when nobody uses them.
    pub(super) fn new(connector: Connector, idle_timeout: Duration) -> Self {
        Self { connector, idle_timeout, idle: Mutex::default(), bell: Arc::default() }
    }

    /// The proxy that new connections to `origin` lead through.
    pub(super) fn proxy_on_the_way_to(&self, origin: &Origin) -> Option<ForwardProxy> {
        self.connector.proxy_on_the_way_to(origin)
    }

    /// A connection to `origin` that was used before.
    pub(super) fn take(&self, origin: &Arc<Origin>, reuse: Reuse) -> Option<Link> {
        let mut connections = self.idle();
        let same = connections.by_origin.get_mut(origin)?;
        // The one used last is the one least likely to be closed meanwhile.
        let usable = same.iter_mut().rposition(|idle| self.is_usable(idle, reuse))?;
        let idle = same.get_mut(usable)?;
        let via = idle.via.clone();
        let carrier = match &idle.connection {
            Connection::Http2(opener) => {
                idle.since = Instant::now();
                Carrier::Http2(Stream2::new(opener.clone()))
            }
            Connection::Http1(_) => match same.swap_remove(usable).connection {
                Connection::Http1(wire) => Carrier::Http1(wire),
                Connection::Http2(opener) => Carrier::Http2(Stream2::new(opener)),
            },
        };
        let mut link = Link::new(carrier, Arc::clone(origin), via);
        link.reused = true;
        Some(link)
    }

    /// A new connection to `origin`.
    pub(super) async fn connect(self: &Arc<Self>, origin: &Arc<Origin>) -> Result<Link, SendError> {
        let Connected { protocol, via } = self.connector.connect(origin).await?;
        let carrier = match protocol {
            Protocol::Http1(wire) => Carrier::Http1(wire),
            Protocol::Http2(opener) => {
                self.keep(origin, Connection::Http2(opener.clone()), via.clone());
                Carrier::Http2(Stream2::new(opener))
            }
        };
        Ok(Link::new(carrier, Arc::clone(origin), via))
    }

    /// Takes back a connection whose request and answer have ended.
    pub(super) fn put(self: &Arc<Self>, link: Link) {
        // A handle on one of HTTP/2 is kept from the start.
        if let Carrier::Http1(wire) = link.carrier {
            self.keep(&link.origin, Connection::Http1(wire), link.via);
        }
    }

    fn keep(self: &Arc<Self>, origin: &Arc<Origin>, connection: Connection, via: Option<Via>) {
        let mut idle = Idle { connection, via, since: Instant::now() };
        if !self.is_usable(&mut idle, Reuse::Yes) {
            return;
        }
        let mut connections = self.idle();
        if connections.by_origin.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            connections.forget_oldest();
        }
        match connections.by_origin.get_mut(origin) {
            Some(same) => same.push(idle),
            None => {
                connections.by_origin.insert(Arc::clone(origin), vec![idle]);
            }
        }
        if !std::mem::replace(&mut connections.swept, true) {
            tokio::spawn(sweep(Arc::clone(self)));
        }
    }

    /// Whether it is still open; if so, the bell rings when it is closed.
    fn is_usable(&self, idle: &mut Idle, reuse: Reuse) -> bool {
        let open = match &mut idle.connection {
            Connection::Http1(wire) => {
                let waker = Waker::from(Arc::clone(&self.bell));
                // Nobody has asked for anything: whatever comes is not an answer.
                reuse == Reuse::Yes
                    && wire.poll_gone(&mut Context::from_waker(&waker)).is_pending()
                    && wire.has_nothing_unused()
            }
            Connection::Http2(opener) => opener.is_ready(),
        };
        open && idle.since.elapsed() < self.idle_timeout
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        // A panic while the lock was held leaves at worst a connection too few.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Closes what the other side has closed, or has been idle for too long; ends when nothing is left.
async fn sweep(pool: Arc<Pool>) {
    loop {
        // Whether it was the bell or the time.
        let _ = timeout(pool.idle_timeout / 4, pool.bell.0.notified()).await;
        let mut connections = pool.idle();
        connections.by_origin.retain(|_, same| {
            same.retain_mut(|idle| pool.is_usable(idle, Reuse::Yes));
            !same.is_empty()
        });
        if connections.by_origin.is_empty() {
            connections.swept = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Stream;
    use tokio::net::{TcpListener, TcpStream};

    async fn idle(listener: &TcpListener, since: Instant) -> Idle {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Idle { connection: Connection::Http1(Wire::new(Stream::Tcp(stream))), via: None, since }
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let start = Instant::now();
        let mut connections = IdleConnections::default();
        for (host, age) in [("a.example", 2), ("b.example", 3), ("b.example", 1)] {
            let since = start + Duration::from_secs(10 - age);
            let origin = Arc::new(Origin::of_host(host));
            let idle = idle(&listener, since).await;
            connections.by_origin.entry(origin).or_default().push(idle);
        }
        for left in
            [vec![("a.example", 1), ("b.example", 1)], vec![("b.example", 1)], vec![], vec![]]
        {
            connections.forget_oldest();
            let by_origin = connections.by_origin.iter();
            let mut found: Vec<_> = by_origin.map(|(it, same)| (it.host(), same.len())).collect();
            found.sort_unstable();
            assert_eq!(found, left);
        }
    }
}
