//! Serves a client's connection with hyper's HTTP/1.1 server: its limits, and how it ends.

use super::OpenConnection;
use super::client_stream::ClientStream;
use super::connection_limit::Rejected;
use super::lingering_close;
use crate::os::stream::Stream;
use crate::proxy::{Client, Handler};
use crate::telemetry::counted;
use http::header::CONNECTION;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{ProxyError, names_option};

/// The maximum size of a request's header section, and of the part of a body that is read ahead, in
/// bytes: 64 KiB and room for a header section.
const MAX_HEADER_SECTION: usize = 72 * 1024;

/// How long a client whose connection is rejected may take to send its request.
const REJECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ended during a request or a response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ConnectionError {
    /// The client closed the connection during a request.
    #[error("closed by the client")]
    ClosedByClient,
    /// The client sent a malformed request or was too slow, or a response could not be completed.
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl ConnectionError {
    /// Whether the client sent something other than an HTTP/1.1 or HTTP/1.0 request, to which hyper
    /// has responded with 400, 414 or 431.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_parse())
    }
}

/// Serves the requests of `client` until one side closes the connection or the drain ends it. A header
/// section may take `header_timeout`, and the connection may be idle as long before it.
///
/// # Errors
///
/// The connection ended during a request or a response.
pub(super) async fn serve<H: Handler>(
    stream: Stream,
    client: &Client,
    handler: &H,
    open: &OpenConnection,
    header_timeout: Duration,
) -> Result<(), ConnectionError> {
    let stream = ClientStream::new(stream, Rc::clone(&client.connection), lingering_close::TIMEOUT);
    let http10 = Cell::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        http10.set(request.version() == Version::HTTP_10);
        client.connection.begin(is_last(&request));
        // Boxed, so that an idle connection has no memory for a request's future.
        let response = Box::pin(handler.handle(request, client));
        async { Ok::<_, Infallible>(response.await) }
    });
    let mut connection =
        pin!(builder(header_timeout).serve_connection(TokioIo::new(stream.clone()), service));
    let mut draining = pin!(open.draining());
    let mut is_draining = false;
    let served = poll_fn(|context| {
        if !is_draining && draining.as_mut().poll(context).is_ready() {
            is_draining = true;
            // hyper would abort a request body that the client is still sending after the response;
            // the connection ends after that request in any case.
            if !client.connection.has_upload() {
                connection.as_mut().graceful_shutdown();
            }
            // If no request is in flight, the next poll closes the connection, without lingering.
            stream.close_at_once(true);
        }
        if let Poll::Ready(served) = connection.as_mut().poll(context) {
            return Poll::Ready(served.map_err(ConnectionError::from));
        }
        if is_draining {
            stream.close_at_once(false);
        }
        stream.poll_closed_by_client(context).map(|()| Err(ConnectionError::ClosedByClient))
    });
    let served = served.await;
    match &served {
        // A response was truncated.
        Err(ConnectionError::Http(error)) if error.is_user() && http10.get() => {
            stream.reset_on_drop();
        }
        // After a timeout hyper does not send TLS's close_notify.
        Err(ConnectionError::Http(error)) if error.is_timeout() => stream.shut_down().await,
        _ => {}
    }
    served
}

/// Responds with 503, because `limit` other connections are being served.
pub(super) async fn reject<H: Handler>(
    stream: Stream,
    handler: &H,
    limit: usize,
    rejected: &Rejected,
) {
    // Wait for the request: some clients ignore a response that arrives before they have sent it.
    let service = service_fn(|request: Request<Incoming>| async move {
        rejected.record_request();
        let connections = counted(limit, "connection is", "connections are");
        let reason = format!("{connections} open (--max-connections, or ulimit -n)");
        let (method, uri) = (request.method(), request.uri());
        Ok::<_, Infallible>(handler.reject(method, uri, ProxyError::Busy(reason)).await)
    });
    // Not longer than for a client that sends nothing, because few connections are rejected at once.
    let linger = lingering_close::IDLE_TIMEOUT;
    let stream = TokioIo::new(ClientStream::new(stream, Rc::default(), linger));
    // Errors do not matter: the connection is closed either way.
    drop(builder(REJECT_TIMEOUT).keep_alive(false).serve_connection(stream, service).await);
}

fn builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_SECTION)
        // Applies to trailer sections, too.
        .max_header_size(MAX_HEADER_SECTION)
        // Like the Go program: scripts search for `Location:`.
        .title_case_headers(true);
    builder
}

/// Whether the client has announced that this is the last request of the connection.
fn is_last(request: &Request<Incoming>) -> bool {
    match request.version() {
        Version::HTTP_10 => !names_option(request.headers(), &CONNECTION, "keep-alive"),
        _ => names_option(request.headers(), &CONNECTION, "close"),
    }
}
