//! One request as a stream of HTTP/2, by hyper.

use super::error::{SendError, explain};
use super::link::Head;
use super::origin::Origin;
use crate::http1::{Answer, BodyError, Fields, Framing, Piece};
use bytes::{Buf as _, Bytes};
use http::header::{AUTHORIZATION, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use taskcluster_proxy_core::proxy::HeaderRole;
use tokio::sync::mpsc::{Receiver, channel};
use tokio_util::sync::PollSender;

/// What opens streams on a connection.
pub(super) type Opener = SendRequest<Upload>;

/// One request and its answer.
pub(super) struct Stream2 {
    opener: Opener,
    upload: Option<PollSender<Option<Frame<Bytes>>>>,
    answering: Option<Answering>,
    incoming: Option<Incoming>,
    piece: Bytes,
    trailers: Fields,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Incoming>, SendError>> + Send>>;

/// The body of a request on its way to hyper. `None` stands for its end: a body that nobody gives any
/// more is not a whole one.
pub(super) struct Upload {
    pieces: Option<Receiver<Option<Frame<Bytes>>>>,
    framing: Framing,
}

/// The most that is given to hyper at once, in bytes.
const MAX_PIECE: usize = 64 * 1024;

impl Stream2 {
    pub(super) fn new(opener: Opener) -> Self {
        Self {
            opener,
            upload: None,
            answering: None,
            incoming: None,
            piece: Bytes::new(),
            trailers: Fields::default(),
        }
    }

    pub(super) fn begin(&mut self, head: &Head<'_>, origin: &Origin) -> Result<(), SendError> {
        let refused = |_| SendError::Refused("this request cannot go over HTTP/2".to_owned());
        let (sender, pieces) = channel(1);
        let (upload, pieces) = match head.framing {
            Framing::Empty => (None, None),
            _ => (Some(PollSender::new(sender)), Some(pieces)),
        };
        self.upload = upload;
        let mut request = Request::new(Upload { pieces, framing: head.framing });
        *request.method_mut() = head.method.clone();
        *request.version_mut() = Version::HTTP_2;
        let url = [origin.as_str(), head.resource].concat();
        *request.uri_mut() = url.parse().map_err(http::Error::from).map_err(refused)?;
        let headers = request.headers_mut();
        for (name, value) in head.fields.iter() {
            let name = HeaderName::try_from(name).map_err(http::Error::from).map_err(refused)?;
            let value = HeaderValue::from_bytes(value).map_err(http::Error::from);
            headers.append(name, value.map_err(refused)?);
        }
        if let Some(authorization) = head.authorization {
            let mut value =
                HeaderValue::from_str(authorization).map_err(http::Error::from).map_err(refused)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if head.accepts_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let sent = self.opener.try_send_request(request);
        self.answering = Some(Box::pin(async {
            sent.await.map_err(|mut failed| {
                let unsent = failed.take_message().is_some();
                let reason = explain(&failed.into_error());
                if unsent { SendError::Connect(reason) } else { SendError::Broken(reason) }
            })
        }));
        Ok(())
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let data = data.get(..MAX_PIECE).unwrap_or(data);
        ready!(self.poll_give(context, || Some(Frame::data(Bytes::copy_from_slice(data)))))?;
        Poll::Ready(Ok(data.len()))
    }

    pub(super) fn poll_finish(
        &mut self,
        context: &mut Context<'_>,
        trailers: &Fields,
    ) -> Poll<io::Result<()>> {
        if self.upload.is_some() {
            let end =
                || Some(Frame::trailers(header_map(trailers))).filter(|_| !trailers.is_empty());
            ready!(self.poll_give(context, end))?;
            // Dropped after the end was said; after trailers, which are one, too.
            self.upload = None;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_give(
        &mut self,
        context: &mut Context<'_>,
        what: impl FnOnce() -> Option<Frame<Bytes>>,
    ) -> Poll<io::Result<()>> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let upload = self.upload.as_mut().ok_or_else(gone)?;
        ready!(upload.poll_reserve(context)).map_err(|_| gone())?;
        Poll::Ready(upload.send_item(what()).map_err(|_| gone()))
    }

    pub(super) fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        bodiless: bool,
    ) -> Poll<Result<Answer, SendError>> {
        let Some(answering) = &mut self.answering else {
            return Poll::Ready(Err(SendError::Broken("there is no request".to_owned())));
        };
        let response = ready!(answering.as_mut().poll(context))?;
        self.answering = None;
        let (parts, incoming) = response.into_parts();
        let mut fields = Fields::default();
        let mut length = None;
        for (name, value) in &parts.headers {
            match HeaderRole::of(name.as_str()) {
                HeaderRole::ContentLength => {
                    length = value.to_str().ok().and_then(|value| value.parse().ok());
                    fields.push_canonical(name.as_str(), value.as_bytes());
                }
                role if role.passes_with_answers() => {
                    fields.push_canonical(name.as_str(), value.as_bytes());
                }
                _ => {}
            }
        }
        let framing = match length {
            _ if bodiless || matches!(parts.status.as_u16(), 204 | 304) => Framing::Empty,
            None if incoming.is_end_stream() => {
                fields.push("Content-Length", b"0");
                Framing::Empty
            }
            None => Framing::Chunked,
            Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
        };
        self.incoming = Some(incoming);
        Poll::Ready(Ok(Answer {
            status: parts.status.as_u16(),
            reason: parts.status.canonical_reason().unwrap_or_default().to_owned(),
            fields,
            framing,
            keep_alive: true,
        }))
    }

    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Piece, BodyError>> {
        while self.piece.is_empty() {
            let Some(incoming) = &mut self.incoming else {
                return Poll::Ready(Ok(Piece::End));
            };
            match ready!(Pin::new(incoming).poll_frame(context)) {
                None => self.incoming = None,
                Some(Err(error)) => {
                    return Poll::Ready(Err(io::Error::other(explain(&error)).into()));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(frame) => {
                        for (name, value) in frame.trailers_ref().into_iter().flatten() {
                            if HeaderRole::of(name.as_str()) == HeaderRole::EndToEnd {
                                self.trailers.push(name.as_str(), value.as_bytes());
                            }
                        }
                    }
                },
            }
        }
        Poll::Ready(Ok(Piece::Data))
    }

    /// All of the body, if it is no longer than `limit`; it stays to be read.
    pub(super) fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Option<Vec<u8>>> {
        loop {
            let first = std::mem::take(&mut self.piece);
            let polled = self.poll_piece(context);
            let next = std::mem::replace(&mut self.piece, first);
            match ready!(polled) {
                Ok(Piece::Data) => self.piece = [&self.piece[..], &next].concat().into(),
                Ok(Piece::End) => return Poll::Ready(Some(self.piece.to_vec())),
                Err(_) => return Poll::Ready(None),
            }
            if self.piece.len() > limit {
                return Poll::Ready(None);
            }
        }
    }

    pub(super) fn piece(&self) -> &[u8] {
        &self.piece
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.piece.advance(count.min(self.piece.len()));
    }

    pub(super) fn trailers(&self) -> &Fields {
        &self.trailers
    }
}

fn header_map(fields: &Fields) -> HeaderMap {
    let pairs = fields.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    pairs.collect()
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        match ready!(pieces.poll_recv(context)) {
            Some(Some(frame)) => {
                if frame.is_trailers() {
                    self.pieces = None;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(None) => {
                self.pieces = None;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Empty => SizeHint::with_exact(0),
            Framing::Length(length) => SizeHint::with_exact(length),
            Framing::Chunked | Framing::UntilClose => SizeHint::new(),
        }
    }
}

impl fmt::Debug for Stream2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream2").finish_non_exhaustive()
    }
}
