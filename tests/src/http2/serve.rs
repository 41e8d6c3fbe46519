//! The HTTP/2 upstream's side of a connection, by the `h2` crate's server.

use super::response::{Http2Response, Reading, Step};
use super::{Behaviour, Shared};
use crate::Request;
use crate::http1::Head;
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use hyper::{HeaderMap, StatusCode};
use std::error::Error;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};

type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// A large body is sent in blocks of this size.
const BLOCK: usize = 64 * 1024;

pub(super) async fn connection(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    index: usize,
) -> Ended {
    let mut builder = Builder::new();
    if let Some(count) = shared.builder.max_concurrent_streams {
        builder.max_concurrent_streams(count);
    }
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    let mut count = 0;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        count += 1;
        if shared.builder.goaway_every == Some(count) {
            connection.graceful_shutdown();
        }
        tokio::spawn(Arc::clone(&shared).exchange(index, request, respond));
    }
    Ok(())
}

impl Shared {
    async fn exchange(
        self: Arc<Self>,
        connection: usize,
        request: hyper::Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        let complete = body.is_end_stream();
        let head = head(&parts);
        let request = self.state.change(|state| {
            let open = &mut state.connections[connection];
            open.open_streams += 1;
            open.most_open_streams = open.most_open_streams.max(open.open_streams);
            let request = Request {
                index: state.requests.len(),
                connection,
                head,
                body: Vec::new(),
                body_length: 0,
                complete,
                trailers: Vec::new(),
            };
            state.requests.push(request.clone());
            request
        });
        let Behaviour::Server(script) = &self.behaviour else {
            return;
        };
        let response = script.lock().unwrap_or_else(PoisonError::into_inner)(&request);
        // An error only ends the stream.
        let _ = self.respond(&request, response, body, respond).await;
        self.state.change(|state| state.connections[connection].open_streams -= 1);
    }

    async fn respond(
        self: &Arc<Self>,
        request: &Request,
        response: Http2Response,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Ended {
        let index = request.index;
        let mut body = Some(body);
        match response.reading {
            Reading::First => self.read_body(index, body.take()).await?,
            Reading::Meanwhile => {
                let (shared, body) = (Arc::clone(self), body.take());
                // A truncated body stays incomplete.
                tokio::spawn(async move { shared.read_body(index, body).await.ok() });
            }
            Reading::Never => {}
        }
        let mut sending =
            Sending { shared: self, connection: request.connection, respond, sent: None };
        for step in response.steps {
            match step {
                Step::ReadBody => self.read_body(index, body.take()).await?,
                step => sending.take(step).await?,
            }
        }
        Ok(())
    }

    async fn read_body(&self, index: usize, body: Option<RecvStream>) -> Ended {
        let Some(mut body) = body else {
            return Ok(());
        };
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            self.state.change(|state| {
                let request = &mut state.requests[index];
                let kept = data.len().min(Request::MAX_RECORDED - request.body.len());
                request.body.extend(&data[..kept]);
                request.body_length += data.len() as u64;
            });
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        self.state.change(|state| {
            let request = &mut state.requests[index];
            request.trailers = lines(&trailers);
            request.complete = true;
        });
        Ok(())
    }
}

/// A response that is being sent.
struct Sending<'a> {
    shared: &'a Shared,
    connection: usize,
    respond: SendResponse<Bytes>,
    /// Set once the header section was sent.
    sent: Option<SendStream<Bytes>>,
}

impl Sending<'_> {
    async fn take(&mut self, step: Step) -> Ended {
        match step {
            Step::Interim(status) => {
                let mut response = hyper::Response::new(());
                *response.status_mut() = StatusCode::from_u16(status)?;
                self.respond.send_informational(response)?;
            }
            Step::Headers { status, headers, end } => {
                let mut response = hyper::Response::new(());
                *response.status_mut() = StatusCode::from_u16(status)?;
                *response.headers_mut() = headers;
                self.sent = Some(self.respond.send_response(response, end)?);
            }
            Step::Data { bytes, end } => self.data(bytes.into(), end).await?,
            Step::Large(length) => {
                let block: Bytes = (0..BLOCK).map(|at| at as u8).collect();
                let mut left = length;
                while left > 0 {
                    let count = left.min(BLOCK as u64);
                    self.data(block.slice(..count as usize), false).await?;
                    left -= count;
                }
            }
            Step::Trailers(trailers) => self.stream()?.send_trailers(trailers)?,
            Step::Wait(latch) => {
                if !tokio::task::spawn_blocking(move || latch.wait()).await? {
                    return Err("the latch was not opened".into());
                }
            }
            Step::Reset(reason) => match &mut self.sent {
                Some(stream) => stream.send_reset(reason),
                None => self.respond.send_reset(reason),
            },
            Step::Stall => {
                let respond = &mut self.respond;
                match &mut self.sent {
                    Some(stream) => poll_fn(|context| stream.poll_reset(context)).await?,
                    None => poll_fn(|context| respond.poll_reset(context)).await?,
                };
            }
            // Handled by the caller.
            Step::ReadBody => {}
        }
        Ok(())
    }

    /// Sends all bytes, as flow control allows.
    async fn data(&mut self, mut bytes: Bytes, end: bool) -> Ended {
        while !bytes.is_empty() {
            let stream = self.stream()?;
            stream.reserve_capacity(bytes.len());
            let capacity = poll_fn(|context| stream.poll_capacity(context)).await;
            let capacity = capacity.ok_or("the stream has ended")??;
            let data = bytes.split_to(capacity.min(bytes.len()));
            let length = data.len() as u64;
            stream.send_data(data, false)?;
            let connection = self.connection;
            self.shared.state.change(|state| state.connections[connection].sent += length);
        }
        if end {
            self.stream()?.send_data(Bytes::new(), true)?;
        }
        Ok(())
    }

    fn stream(&mut self) -> Result<&mut SendStream<Bytes>, &'static str> {
        self.sent.as_mut().ok_or("there is no header section yet")
    }
}

/// In the form of HTTP/1.1, with the authority as Host.
fn head(parts: &hyper::http::request::Parts) -> Head {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    let start = format!("{} {target} HTTP/2\r\nhost: {authority}\r\n", parts.method);
    let bytes = [start.as_bytes(), &lines(&parts.headers), b"\r\n"].concat();
    let head = Head::read(&mut bytes.as_slice()).ok().flatten();
    head.expect("header fields have no line ends")
}

fn lines(headers: &HeaderMap) -> Vec<u8> {
    let line = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
    };
    headers.iter().flat_map(line).collect()
}
