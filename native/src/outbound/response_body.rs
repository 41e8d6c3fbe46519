//! The body of an upstream's response, and the reuse of the connection after its end.

use super::error::explain;
use super::http1::MAX_HEADER_SECTION;
use super::http2::{Http2Stream, section_size};
use super::origin::Origin;
use super::pool::{Connection, Pool};
use super::replay::{AttemptGuard, end_to_end};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout, timeout_at};

/// The maximum size of a response that is kept while its request is retried, in bytes.
const MAX_RECEIVED: usize = 64 * 1024;

/// The body of a response, as a stream of frames. If it is dropped before its end, the HTTP/1.1 connection
/// is closed or the HTTP/2 stream is reset.
#[derive(Debug)]
pub struct ResponseBody {
    /// `None` if all of the body was received.
    incoming: Option<Incoming>,
    /// The frames that were read ahead.
    peeked: VecDeque<Frame<Bytes>>,
    error: Option<ResponseBodyError>,
    exchange: Option<Exchange>,
}

/// Why a response body could not be received to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseBodyError {
    /// The connection was closed, or the stream was reset, before the end.
    #[error("the response was truncated by the upstream: {}", explain(.0))]
    Truncated(#[source] hyper::Error),
    /// The stream was reset before the end, without an error code.
    #[error(
        "the response was truncated by the upstream: the stream was reset before its end (NO_ERROR)"
    )]
    Reset,
    /// The trailer section is too large.
    #[error("the trailer section of the response is larger than {} KiB", MAX_HEADER_SECTION / 1024)]
    TrailersTooLarge,
}

/// A request on a connection, until its response has ended.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: Connection,
    pub(super) attempt: AttemptGuard,
    pub(super) origin: Arc<Origin>,
    pub(super) pool: Rc<Pool>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, exchange: Exchange) -> Self {
        let mut body = Self {
            incoming: Some(incoming),
            peeked: VecDeque::new(),
            error: None,
            exchange: Some(exchange),
        };
        body.end_if_received();
        body
    }

    /// Ends the body if all announced bytes were received. Over HTTP/2 the frame that ends the stream may
    /// follow later.
    fn end_if_received(&mut self) {
        let received = self.incoming.as_ref().is_some_and(|incoming| {
            incoming.is_end_stream() || incoming.size_hint().exact() == Some(0)
        });
        if received {
            self.end();
        }
    }

    /// Reads the whole body and returns a copy; the body can still be read. Returns `None` if it is longer
    /// than `limit` bytes or cannot be received. It may be called again.
    pub async fn peek(&mut self, limit: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        let peeked = self.peeked.iter().filter_map(Frame::data_ref);
        peeked.for_each(|data| whole.extend_from_slice(data));
        while self.error.is_none() && whole.len() <= limit {
            match poll_fn(|context| self.poll_incoming(context)).await {
                None => return Some(whole),
                Some(Err(error)) => {
                    self.error = Some(error);
                }
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        whole.extend_from_slice(data);
                    }
                    self.peeked.push_back(frame);
                }
            }
        }
        None
    }

    /// Reads the whole body before the request is retried, so that the connection can be reused: an
    /// upstream may serve one connection at a time. Returns `false` if the body is too long or not complete
    /// by `deadline`; the connection must then be closed.
    pub(super) async fn receive(&mut self, deadline: Instant) -> bool {
        matches!(timeout_at(deadline, self.peek(MAX_RECEIVED)).await, Ok(Some(_)))
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let polled = ready!(Pin::new(&mut *incoming).poll_frame(context));
        let is_end_stream = incoming.is_end_stream();
        Poll::Ready(match polled {
            // hyper reports no error if the upstream resets the stream or closes the connection with
            // NO_ERROR.
            None if self.is_http2() && !is_end_stream => Some(Err(ResponseBodyError::Reset)),
            None => {
                self.end();
                None
            }
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) if section_size(&trailers) > MAX_HEADER_SECTION => {
                    Some(Err(ResponseBodyError::TrailersTooLarge))
                }
                Ok(trailers) => {
                    self.end();
                    Some(Ok(Frame::trailers(end_to_end(&trailers))))
                }
                Err(data) => {
                    self.end_if_received();
                    Some(Ok(data))
                }
            },
            Some(Err(error)) => Some(Err(ResponseBodyError::Truncated(error))),
        })
    }

    fn is_http2(&self) -> bool {
        let connection = self.exchange.as_ref().map(|exchange| &exchange.connection);
        matches!(connection, Some(Connection::Http2(_)))
    }

    /// Releases the connection after the response has ended.
    fn end(&mut self) {
        let (Some(incoming), Some(exchange)) = (self.incoming.take(), self.exchange.take()) else {
            return;
        };
        let Exchange { connection, attempt, origin, pool } = exchange;
        match connection {
            Connection::Http1(connection) if attempt.has_sent_all() => {
                pool.put(&origin, connection);
            }
            Connection::Http1(connection) if attempt.is_sending() => {
                attempt.continue_after_response(Some(connection.into_task()));
            }
            Connection::Http1(_) => {}
            Connection::Http2(stream) => {
                let done = attempt.done();
                if attempt.is_sending() {
                    attempt.continue_after_response(None);
                } else if attempt.has_sent_all() && incoming.is_end_stream() {
                    return stream.complete();
                }
                spawn_local(complete(stream, incoming, done));
            }
        }
    }
}

/// Holds the stream of a request until the connection has finished both the request body and the response. A
/// stream that the upstream does not end although its body is complete is reset after a timeout.
async fn complete(stream: Http2Stream, mut incoming: Incoming, done: impl Future<Output = ()>) {
    done.await;
    let rest = async { while let Some(Ok(_)) = incoming.frame().await {} };
    // Either way `incoming` is dropped next.
    let _ = timeout(END_TIMEOUT, rest).await;
    drop(incoming);
    stream.complete();
}

/// How long an upstream may take to end a stream after a complete body.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.peeked.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        this.poll_incoming(context)
    }

    fn is_end_stream(&self) -> bool {
        self.peeked.is_empty() && self.error.is_none() && self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) if self.peeked.is_empty() => incoming.size_hint(),
            None if self.peeked.is_empty() => SizeHint::with_exact(0),
            _ => SizeHint::new(),
        }
    }
}
