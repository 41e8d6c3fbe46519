//! Connections to upstreams over HTTP/1.1, by hyper.

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

/// The longest header section of a response that is forwarded, in bytes, and the longest trailer section.
pub(super) const MAX_HEADER_SECTION: usize = 256 * 1024;

/// How many header fields of a response are forwarded. hyper allocates 64 bytes for each of them whenever it
/// parses a header section: with 4096 instead of 1024 glibc's allocator grew and shrank the heap for each
/// response.
pub(super) const MAX_HEADER_FIELDS: usize = 1024;

/// More than this before the header section of a response is complete, in bytes, are interim responses
/// (1xx) without an end. Services send none but 100 (Continue).
pub(super) const MAX_BEFORE_RESPONSE: usize = 2 * MAX_HEADER_SECTION;

/// A connection that carries one request at a time. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Http1Connection {
    sender: SendRequest<AttemptBody>,
    traffic: Rc<Traffic>,
    task: AbortOnDropHandle<()>,
    /// Where it leads to a plain HTTP proxy.
    proxied: Option<ProxiedRequests>,
    /// Whether it carried another request before.
    reused: bool,
    /// Counts it among those that are open.
    _open: Rc<()>,
}

/// How requests are sent to a plain HTTP proxy: with the whole URL (RFC 9112 section 3.2.2), and this.
#[derive(Clone, Debug)]
pub(super) struct ProxiedRequests {
    /// `Proxy-Authorization`, if the proxy's URL has a login.
    pub(super) authorization: Option<HeaderValue>,
}

impl Http1Connection {
    /// Begins HTTP/1.1 on `stream`. `open` is held as long as the connection is open.
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
        // Its errors reach whoever waits for a response.
        let task = AbortOnDropHandle::new(spawn_local(async { drop(connection.await) }));
        Ok(Self { sender, traffic, task, proxied, reused: false, _open: Rc::clone(open) })
    }

    /// What requests need besides, if it leads to a plain HTTP proxy.
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
        self.traffic.has_response();
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
        let unanswered = self.traffic.reads() == reads;
        Err(match UpstreamError::of_http1(failed) {
            // The upstream closed it while it was idle.
            UpstreamError::Broken(reason) if self.reused && unanswered => {
                UpstreamError::ClosedWhileIdle(reason)
            }
            UpstreamError::Broken(reason) if unsent => ConnectError::Http(reason).into(),
            error => error,
        })
    }

    /// Whether it can carry another request; each that it carries after the first knows.
    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready()
    }

    /// It is going to be used again.
    pub(super) fn reuse(mut self) -> Self {
        self.reused = true;
        self
    }

    /// What sends the request; no further one is sent.
    pub(super) fn into_task(self) -> AbortOnDropHandle<()> {
        self.task
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// What hyper takes of a response and a client may read otherwise (RFC 9112 section 6).
fn check_framing(mut response: Response<Incoming>) -> Result<Response<Incoming>, UnusableResponse> {
    let headers = response.headers_mut();
    if !is_chunked_at_most(headers) {
        return Err(UnusableResponse::TransferCoding);
    }
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        if !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return Err(UnusableResponse::ContentLength);
        }
        // Should there be several, they are the same.
        let length = length.clone();
        headers.insert(CONTENT_LENGTH, length);
    }
    Ok(response)
}
