//! HTTP/1.1 connections to upstreams, with hyper's client.

use super::connect_error::ConnectError;
use super::error::{UnusableResponse, UpstreamError};
use super::replay::AttemptBody;
use super::stream::{Traffic, UpstreamStream};
use crate::os::stream::Stream;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use taskcluster_proxy_core::proxy::is_chunked_at_most;
use tokio::task::spawn_local;
use tokio_util::task::AbortOnDropHandle;

/// The maximum size of the header section and of the trailer section of a response, in bytes.
pub(super) const MAX_HEADER_SECTION: usize = 256 * 1024;

/// The maximum number of header fields of a response. hyper allocates 64 bytes for each of them whenever it
/// parses a header section: with 4096 instead of 1024 glibc's allocator grew and shrank the heap for each
/// response.
pub(super) const MAX_HEADER_FIELDS: usize = 1024;

/// The maximum number of bytes before the header section of a response is complete. More bytes than this
/// are an endless series of interim responses (1xx); services send only 100 (Continue).
pub(super) const MAX_BEFORE_RESPONSE: usize = 2 * MAX_HEADER_SECTION;

/// A connection for one request at a time. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Http1Connection {
    sender: SendRequest<AttemptBody>,
    traffic: Rc<Traffic>,
    task: AbortOnDropHandle<()>,
    /// `Some` if the connection is to an HTTP proxy without a tunnel.
    proxied: Option<ProxiedRequests>,
    /// Whether the connection was used for another request before.
    reused: bool,
    /// Counts the open connections.
    _open: Rc<()>,
}

/// How requests are sent to an HTTP proxy without a tunnel: with the target in absolute form (RFC 9112
/// section 3.2.2), and with these fields.
#[derive(Clone, Debug)]
pub(super) struct ProxiedRequests {
    /// The value of `Proxy-Authorization`, if the proxy's URL has a login.
    pub(super) authorization: Option<HeaderValue>,
}

impl Http1Connection {
    /// Starts HTTP/1.1 on `stream`. The connection holds a clone of `open` while it is open.
    pub(super) async fn start(
        stream: Stream,
        proxied: Option<ProxiedRequests>,
        open: &Rc<()>,
    ) -> Result<Self, ConnectError> {
        let (stream, traffic) = UpstreamStream::new(stream);
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEADER_SECTION)
            .max_header_size(MAX_HEADER_SECTION)
            .max_headers(MAX_HEADER_FIELDS)
            .handshake(TokioIo::new(stream))
            .await?;
        // hyper also returns errors of the connection to the request that waits for a response.
        let task = AbortOnDropHandle::new(spawn_local(async { drop(connection.await) }));
        Ok(Self { sender, traffic, task, proxied, reused: false, _open: Rc::clone(open) })
    }

    /// How requests are sent to an HTTP proxy, if the connection is to one.
    pub(super) fn proxied(&self) -> Option<&ProxiedRequests> {
        self.proxied.as_ref()
    }

    /// Sends a request.
    pub(super) async fn send(
        &mut self,
        request: Request<AttemptBody>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let (reads, writes) = (self.traffic.reads(), self.traffic.writes());
        self.traffic.expect_response(MAX_BEFORE_RESPONSE);
        let sent = self.sender.try_send_request(request).await;
        self.traffic.response_received();
        let failed = match sent {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Err(UnusableResponse::SwitchingProtocols.into());
            }
            Ok(response) => return Ok(check_framing(response)?),
            Err(failed) => failed.into_error(),
        };
        if self.traffic.is_exceeded() {
            return Err(UnusableResponse::InterimResponses.into());
        }
        let unsent = self.traffic.writes() == writes;
        let nothing_received = self.traffic.reads() == reads;
        Err(match UpstreamError::from_http1(failed) {
            UpstreamError::ConnectionLost(reason) if self.reused && nothing_received => {
                UpstreamError::ClosedWhileIdle(reason)
            }
            UpstreamError::ConnectionLost(reason) if unsent => ConnectError::Http(reason).into(),
            error => error,
        })
    }

    /// Whether the connection can be used for another request.
    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready()
    }

    /// Marks the connection as used before.
    pub(super) fn reuse(mut self) -> Self {
        self.reused = true;
        self
    }

    /// Returns the connection's task, which continues to send the current request. No further request can
    /// be sent.
    pub(super) fn into_task(self) -> AbortOnDropHandle<()> {
        self.task
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Rejects framing that hyper accepts but that a client may interpret differently (RFC 9112 section 6).
fn check_framing(mut response: Response<Incoming>) -> Result<Response<Incoming>, UnusableResponse> {
    let headers = response.headers_mut();
    if !is_chunked_at_most(headers) {
        return Err(UnusableResponse::TransferCoding);
    }
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        if !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return Err(UnusableResponse::ContentLength);
        }
        // If there are several values, hyper has checked that they are equal.
        let length = length.clone();
        headers.insert(CONTENT_LENGTH, length);
    }
    Ok(response)
}
