//! Connections that are kept between requests.

use super::connect::{Connected, Connector};
use super::error::{SendError, explain, find};
use super::replay::{Attempt, ReplayError};
use http::header::{CONNECTION, HOST, PROXY_AUTHORIZATION, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Whom a connection leads to.
#[derive(Clone, Debug, Eq)]
struct Origin {
    scheme: Scheme,
    /// In lower case, as all that is routed here.
    authority: Authority,
}

/// Sends requests over connections of its own, kept or new.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    idle: Mutex<IdleConnections>,
}

#[derive(Debug, Default)]
struct IdleConnections {
    by_origin: HashMap<Origin, Vec<Idle>>,
    /// A task goes through them from time to time, as long as there are any.
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    /// In a box, as everywhere: it is handed from hand to hand with each request.
    connection: Box<Connection>,
    since: Instant,
}

/// A connection of HTTP/1 that nobody else uses, or a handle on one of HTTP/2 that many share.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    /// Requests go to an HTTP proxy, which wants to see the whole URI and, maybe, this.
    via: Option<Via>,
    origin: Origin,
    /// What drives one of HTTP/1.
    task: Option<AbortHandle>,
}

/// What a plain HTTP proxy on the way needs with each request.
#[derive(Clone, Debug)]
pub(super) struct Via {
    pub(super) authorization: Option<HeaderValue>,
}

#[derive(Debug)]
pub(super) enum Sender {
    Http1(http1::SendRequest<Attempt>),
    Http2(http2::SendRequest<Attempt>),
}

/// Whether a connection that was used before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// Yes: should the upstream be closing it this very moment, the request can be sent again.
    Yes,
    /// Only one of HTTP/2, of which an upstream takes leave before it closes it (RFC 9113 section
    /// 6.8): the request cannot be sent twice.
    Http2,
}

impl Pool {
    /// Connections made by `connector` are kept for `idle_timeout` when nobody uses them.
    pub(super) fn new(connector: Connector, idle_timeout: Duration) -> Self {
        Self { connector, idle_timeout, idle: Mutex::default() }
    }

    /// Sends one request to the host of `uri` and waits for the head of its answer. The connection
    /// comes along; it goes back by [`put`](Self::put) when the body has ended.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Attempt>,
        uri: &Uri,
        reuse: Reuse,
    ) -> Result<(Response<Incoming>, Box<Connection>), SendError> {
        let origin = origin(uri)?;
        while let Some(mut connection) = self.take(&origin, reuse) {
            match connection.try_send(request, uri).await {
                Ok(answer) => return Ok((answer, connection)),
                // It was closed before a byte of the request was on its way.
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => return Err(error),
            }
        }
        let Connected { sender, via, task } = self.connector.connect(uri).await?;
        let mut connection = Box::new(Connection { sender, via, origin, task });
        if let Some(shared) = connection.share() {
            self.keep(shared);
        }
        match connection.try_send(request, uri).await {
            Ok(answer) => Ok((answer, connection)),
            Err((error, _)) => Err(error),
        }
    }

    /// Takes back a connection whose answer has ended.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        match &connection.sender {
            // A handle on it is kept from the start.
            Sender::Http2(_) => {}
            Sender::Http1(sender) if sender.is_ready() => self.keep(connection),
            Sender::Http1(sender) if sender.is_closed() => {}
            // The request is still on its way, though its answer has ended.
            Sender::Http1(_) => {
                let pool = Arc::clone(self);
                tokio::spawn(async move {
                    if let Some(connection) = connection.ready().await {
                        pool.keep(connection);
                    }
                });
            }
        }
    }

    fn keep(self: &Arc<Self>, connection: Box<Connection>) {
        let idle = Idle { connection, since: Instant::now() };
        let mut connections = self.idle();
        match connections.by_origin.get_mut(&idle.connection.origin) {
            Some(same) => same.push(idle),
            None => {
                connections.by_origin.insert(idle.connection.origin.clone(), vec![idle]);
            }
        }
        if !std::mem::replace(&mut connections.swept, true) {
            tokio::spawn(sweep(Arc::clone(self)));
        }
    }

    fn take(&self, origin: &Origin, reuse: Reuse) -> Option<Box<Connection>> {
        let mut connections = self.idle();
        let same = connections.by_origin.get_mut(origin)?;
        // The one used last is the one least likely to be closed meanwhile.
        let usable = same.iter().rposition(|idle| idle.is_usable(reuse, self.idle_timeout))?;
        if let Some(idle) = same.get_mut(usable)
            && let Some(shared) = idle.connection.share()
        {
            idle.since = Instant::now();
            return Some(shared);
        }
        Some(same.swap_remove(usable).connection)
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        // A panic while the lock was held leaves at worst a connection too few.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what has been idle for too long; ends when nothing is left.
async fn sweep(pool: Arc<Pool>) {
    loop {
        tokio::time::sleep(pool.idle_timeout / 4).await;
        let mut connections = pool.idle();
        connections.by_origin.retain(|_, same| {
            same.retain(|idle| idle.is_usable(Reuse::Yes, pool.idle_timeout));
            !same.is_empty()
        });
        if connections.by_origin.is_empty() {
            connections.swept = false;
            return;
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.authority.as_str() == other.authority.as_str() && self.scheme == other.scheme
    }
}

/// The authority as a whole: its own hash is taken letter by letter, to tell no cases apart, which
/// costs as much as all else that is done here for a request.
impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.authority.as_str().hash(state);
    }
}

impl Idle {
    fn is_usable(&self, reuse: Reuse, timeout: Duration) -> bool {
        let open = match &self.connection.sender {
            Sender::Http1(sender) => reuse == Reuse::Yes && sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        };
        open && self.since.elapsed() < timeout
    }
}

impl Connection {
    /// Another handle on the same connection, where there can be more than one.
    fn share(&self) -> Option<Box<Self>> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Box::new(Self {
                sender: Sender::Http2(sender.clone()),
                via: self.via.clone(),
                origin: self.origin.clone(),
                task: None,
            })),
        }
    }

    /// The connection when it can take a request, unless it is closed before that.
    async fn ready(mut self: Box<Self>) -> Option<Box<Self>> {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        ready.is_ok().then_some(self)
    }

    /// Sends; a request of which nothing was sent comes back with the error.
    async fn try_send(
        &mut self,
        mut request: Request<Attempt>,
        uri: &Uri,
    ) -> Result<Response<Incoming>, (SendError, Option<Request<Attempt>>)> {
        let sent = match &mut self.sender {
            Sender::Http1(sender) => {
                *request.version_mut() = Version::HTTP_11;
                *request.uri_mut() = match &self.via {
                    Some(_) => uri.clone(),
                    None => origin_form(uri),
                };
                let host = HeaderValue::from_str(self.origin.authority.as_str());
                // A host is made of characters that may stand in a header.
                request.headers_mut().insert(HOST, host.unwrap_or(HeaderValue::from_static("")));
                if request.headers().contains_key(TE) {
                    // RFC 9110 section 10.1.4: so that nobody passes it on unread.
                    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("TE"));
                }
                if let Some(authorization) =
                    self.via.as_ref().and_then(|via| via.authorization.clone())
                {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
                }
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => {
                // hyper does not tell of 100 (Continue) there.
                request.body_mut().proceed();
                // There the URI says it (RFC 9113 section 8.3.1).
                request.headers_mut().remove(HOST);
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = uri.clone();
                sender.try_send_request(request).await
            }
        };
        sent.map_err(|mut failed| {
            let unsent = failed.take_message();
            let error = failed.into_error();
            let reason = explain(&error);
            match find::<ReplayError>(&error) {
                Some(ReplayError::Client(_)) => (SendError::Client(reason), unsent),
                // It would be as large the next time.
                _ if error.is_parse_too_large() => (SendError::Unusable(reason), unsent),
                _ => (SendError::Broken(reason), unsent),
            }
        })
    }
}

/// In the middle of an exchange, a connection that nobody holds any more ends at once. Left to
/// itself it would first send what it has taken of the request, which can take for ever.
impl Drop for Connection {
    fn drop(&mut self) {
        if let (Sender::Http1(sender), Some(task)) = (&self.sender, &self.task)
            && !sender.is_ready()
        {
            task.abort();
        }
    }
}

fn origin(uri: &Uri) -> Result<Origin, SendError> {
    match (uri.scheme(), uri.authority()) {
        (Some(scheme), Some(authority)) => {
            Ok(Origin { scheme: scheme.clone(), authority: authority.clone() })
        }
        _ => Err(SendError::Refused(format!("expected an absolute URI, found {uri}"))),
    }
}

/// Path and query alone, as a server wants to see them.
fn origin_form(uri: &Uri) -> Uri {
    Uri::from(uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")))
}
