//! The upstream of an input: checks and records each request, and responds as the input says.

use super::MOMENT;
use super::input::{Input, Upstream};
use super::message::{Request, framings};
use std::cell::RefCell;
use std::rc::Rc;
use support::http1::Head;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local, yield_now};
use tokio::time::timeout;

/// The target of the request that is served independently of the input.
pub(super) const NEXT_CLIENT: &str = "/api/queue/v1/next-client";

/// The body of the response to it.
pub(super) const NEXT_CLIENT_BODY: &[u8] = b"next";

/// The requests and connections of the upstream.
#[derive(Default)]
pub(super) struct Record {
    requests: RefCell<Vec<Received>>,
    connections: RefCell<Vec<JoinHandle<()>>>,
}

/// A request whose header section was received.
#[derive(Clone)]
pub(super) struct Received {
    head: Head,
    /// `None` if it was truncated, or not read to its end.
    pub(super) body: Option<Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// How many requests have begun.
    exchanges: usize,
    mode: Upstream,
    /// The response, in pieces.
    response: Vec<Vec<u8>>,
    record: Rc<Record>,
}

/// The error if a connection is closed or carries no further request.
struct Closed;

/// Serves the connections to `listener` until the runtime ends.
pub(super) async fn serve(listener: TcpListener, input: &Input<'_>) -> Rc<Record> {
    let record = Rc::<Record>::default();
    let bytes = input.upstream_writes();
    let response: Vec<Vec<u8>> = input.pieces(&bytes).map(<[u8]>::to_vec).collect();
    let (mode, connections) = (input.upstream, Rc::clone(&record));
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (response, record) = (response.clone(), Rc::clone(&connections));
            let (received, exchanges) = (Vec::new(), 0);
            let connection = Connection { stream, received, exchanges, mode, response, record };
            let task = spawn_local(connection.serve());
            connections.connections.borrow_mut().push(task);
        }
    });
    record
}

impl Record {
    /// The requests of the input, without those of the next client and of the proxy itself.
    pub(super) fn requests(&self) -> Vec<Received> {
        let all = self.requests.borrow();
        let of_input = |head: &Head| head.word(1) != NEXT_CLIENT && !is_unsigned_ping(head);
        all.iter().filter(|request| of_input(&request.head)).cloned().collect()
    }

    /// Waits until both sides have closed all connections.
    pub(super) async fn closed(&self) {
        loop {
            let Some(connection) = self.connections.borrow_mut().pop() else {
                return;
            };
            connection.await.expect("the connection was served");
        }
    }
}

impl Connection {
    async fn serve(mut self) {
        while let Ok(()) = self.exchange().await {}
        // It may be closed already.
        let _ = self.stream.shutdown().await;
        while let Ok(1..) = self.stream.read_buf(&mut self.received).await {}
    }

    /// Reads one request and responds to it.
    async fn exchange(&mut self) -> Result<(), Closed> {
        let head = loop {
            if let Some(request) = Request::read(&self.received) {
                break request.head;
            }
            match self.exchanges {
                // The proxy keeps the connection open, so the upstream has to close it.
                1.. if !self.mode.is_well_behaved() => {
                    timeout(MOMENT, self.read()).await.unwrap_or(Err(Closed))?;
                }
                _ => self.read().await?,
            }
        };
        self.exchanges += 1;
        check(&head);
        let number = self.record.requests.borrow().len();
        self.record.requests.borrow_mut().push(Received { head: head.clone(), body: None });
        let next_client = head.word(1) == NEXT_CLIENT;
        let early = self.mode == Upstream::RawEarly && !next_client;
        if early {
            self.respond().await?;
        } else if head.header("expect").is_some() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = loop {
            if let Some(Request { body: Some(body), rest, .. }) = Request::read(&self.received) {
                let read = self.received.len() - rest.len();
                self.received.drain(..read);
                break body;
            }
            self.read().await?;
        };
        self.record.requests.borrow_mut()[number].body = Some(body);
        match self.mode {
            _ if next_client => {
                let length = NEXT_CLIENT_BODY.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                self.write(&[head.as_bytes(), NEXT_CLIENT_BODY].concat()).await
            }
            Upstream::RawEarly => Ok(()),
            Upstream::Raw => self.respond().await.and(Err(Closed)),
            Upstream::ContentLength | Upstream::Chunked => self.respond().await,
        }
    }

    async fn read(&mut self) -> Result<(), Closed> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(1..) => Ok(()),
            Ok(0) => {
                let truncated = Request::read(&self.received).is_some();
                assert!(
                    truncated || self.received.is_empty(),
                    "no request: {:?}",
                    String::from_utf8_lossy(&self.received)
                );
                Err(Closed)
            }
            Err(_) => Err(Closed),
        }
    }

    async fn respond(&mut self) -> Result<(), Closed> {
        for piece in &self.response {
            self.stream.write_all(piece).await.map_err(|_| Closed)?;
            yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.stream.write_all(bytes).await.map_err(|_| Closed)
    }
}

/// Checks a header section that the proxy has sent.
fn check(head: &Head) {
    let authorizations = head.all("authorization");
    let coding = head.header("transfer-encoding");
    let signed = authorizations.len() == 1 && authorizations[0].starts_with("Hawk id=");
    let valid = head.all("host").len() == 1
        && (signed || is_unsigned_ping(head))
        && framings(head) <= 1
        && coding.is_none_or(|coding| coding == "chunked")
        && head.all("connection").len() <= 1
        && head.start_line().ends_with(" HTTP/1.1")
        && has_clean_lines(head.bytes());
    assert!(valid, "the proxy has sent an invalid request: {head:?}");
}

/// Whether this is the request by which the proxy learns the services' time before it signs the first URL.
fn is_unsigned_ping(head: &Head) -> bool {
    head.start_line() == "GET /api/auth/v1/ping HTTP/1.1" && head.header("authorization").is_none()
}

/// Whether each line ends with CR LF, and neither CR, LF nor NUL occurs elsewhere.
fn has_clean_lines(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0']))
}
