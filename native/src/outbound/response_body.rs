//! The body of an upstream's response, and what becomes of the connection when it ends.

use super::error::explain;
use super::http1::MAX_HEADER_SECTION;
use super::http2::section_size;
use super::origin::Origin;
use super::pool::{Connection, Pool};
use super::replay::{AttemptGuard, end_to_end};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of a response, as it comes. Dropped before its end, it takes the upstream's side of the
/// exchange with it.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    /// What was read ahead.
    peeked: VecDeque<Frame<Bytes>>,
    error: Option<ResponseBodyError>,
    exchange: Option<Exchange>,
}

/// Why a response body does not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseBodyError {
    /// The connection was closed, or the stream was reset, before the end.
    #[error("the response was truncated by the upstream: {0}")]
    Truncated(String),
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
        let mut body =
            Self { incoming, peeked: VecDeque::new(), error: None, exchange: Some(exchange) };
        if body.is_received() {
            body.end();
        }
        body
    }

    /// Whether nothing more comes from the upstream. Over HTTP/2 the frame that says so may come later
    /// than the last byte that was announced.
    fn is_received(&self) -> bool {
        self.incoming.is_end_stream() || self.incoming.size_hint().exact() == Some(0)
    }

    /// All of the body, if it is not longer than `limit` bytes; it stays to be read.
    pub async fn peek(&mut self, limit: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            match poll_fn(|context| self.poll_incoming(context)).await {
                None => return Some(whole),
                Some(Err(error)) => {
                    self.error = Some(error);
                    return None;
                }
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        whole.extend_from_slice(data);
                    }
                    self.peeked.push_back(frame);
                    if whole.len() > limit {
                        return None;
                    }
                    if self.is_received() {
                        return Some(whole);
                    }
                }
            }
        }
    }

    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let polled = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        Poll::Ready(match polled {
            // hyper ends a body in an orderly way where the upstream resets the stream or closes the
            // connection without an error code.
            None if self.is_http2() && !self.incoming.is_end_stream() => {
                let reason = "the stream was reset before its end (NO_ERROR)".to_owned();
                Some(Err(ResponseBodyError::Truncated(reason)))
            }
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
                    if self.is_received() {
                        self.end();
                    }
                    Some(Ok(data))
                }
            },
            Some(Err(error)) => Some(Err(ResponseBodyError::Truncated(explain(&error)))),
        })
    }

    fn is_http2(&self) -> bool {
        let connection = self.exchange.as_ref().map(|exchange| &exchange.connection);
        matches!(connection, Some(Connection::Http2(_)))
    }

    /// The response has ended: its connection is for others.
    fn end(&mut self) {
        let Some(Exchange { connection, attempt, origin, pool }) = self.exchange.take() else {
            return;
        };
        let (all, sending) = (attempt.has_sent_all(), attempt.is_sending());
        match connection {
            Connection::Http1(connection) if all => {
                attempt.release(None);
                pool.put(&origin, connection);
            }
            Connection::Http1(connection) if sending => {
                attempt.release(Some(connection.into_task()))
            }
            Connection::Http1(_) => {}
            Connection::Http2(stream) => {
                stream.complete();
                if all || sending {
                    attempt.release(None);
                }
            }
        }
    }
}

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
        if this.is_received() {
            return Poll::Ready(None);
        }
        this.poll_incoming(context)
    }

    fn is_end_stream(&self) -> bool {
        self.peeked.is_empty() && self.error.is_none() && self.is_received()
    }

    fn size_hint(&self) -> SizeHint {
        if self.peeked.is_empty() { self.incoming.size_hint() } else { SizeHint::new() }
    }
}
