//! Carries out the upstream's behaviours of a plan.

use crate::mixed_load::deployment::PendingRequest;
use crate::mixed_load::plan::{
    Behaviour, DOWNLOAD, EVENT_LENGTH, EVENTS, RequestKind, SMALL, content, digest,
};
use std::io::{self, BufReader, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use support::DEADLINE;
use support::http1::Body;

/// Whether the connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
}

const STALL: Duration = Duration::from_millis(50);

impl Behaviour {
    /// Sends the response, if there is one.
    pub(crate) fn act(
        self,
        pending: &PendingRequest,
        from: &mut BufReader<&TcpStream>,
        body: &mut Body,
    ) -> io::Result<()> {
        let mut to = *from.get_ref();
        let mut received = Vec::new();
        if !self.is_early() {
            while let Some(data) = body.next(from)? {
                received.extend(data);
            }
        }
        let plan = &pending.plan;
        let response = match plan.kind {
            RequestKind::Get => content(plan.id, SMALL),
            RequestKind::Echo(_) => received,
            RequestKind::Upload => digest(&received),
            RequestKind::Download => content(plan.id, DOWNLOAD),
            RequestKind::Events => content(plan.id, EVENTS * EVENT_LENGTH),
        };
        if self == Self::ServeAfterStall {
            thread::sleep(STALL);
        }
        if plan.kind == RequestKind::Events && self == Self::ServeInChunks {
            return serve_events(pending, &response, to);
        }
        to.write_all(&self.bytes(&response))
    }

    /// Ends the connection, or keeps it for the next request.
    pub(crate) fn end(self, stream: &TcpStream) -> io::Result<End> {
        match self {
            Self::Serve
            | Self::ServeInChunks
            | Self::ServeAfterInterim
            | Self::ServeAfterStall
            | Self::Busy => return Ok(End::Open),
            Self::ServeThenReset | Self::ResetInBody | Self::ResetAtOnce => {
                socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            }
            Self::ServeUntilClose
            | Self::ServeThenClose
            | Self::Reject
            | Self::Truncate
            | Self::TruncateChunks
            | Self::BusyAtOnce
            | Self::CloseWithoutResponse
            | Self::Garbage
            | Self::HalfHeaderSection => {}
        }
        Ok(End::Closed)
    }

    /// Whether the upstream acts before it reads the body.
    fn is_early(self) -> bool {
        matches!(self, Self::Reject | Self::BusyAtOnce | Self::ResetAtOnce | Self::Garbage)
    }

    /// All bytes to send; `response` is the body that the client expects.
    fn bytes(self, response: &[u8]) -> Vec<u8> {
        let (length, half) = (response.len(), &response[..response.len() / 2]);
        match self {
            Self::Serve | Self::ServeAfterStall | Self::ServeThenClose | Self::ServeThenReset => {
                message(&with_length(length), response)
            }
            Self::ServeAfterInterim => {
                let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
                message(&(interim.to_owned() + &with_length(length)), response)
            }
            Self::ServeUntilClose => message("HTTP/1.1 200 OK\r\n\r\n", response),
            Self::ServeInChunks => {
                let chunks = response.chunks(CHUNK).flat_map(chunk).chain(LAST_CHUNK.bytes());
                CHUNKED.bytes().chain(chunks).collect()
            }
            Self::Reject => closing("413 Too Large", "too large").into(),
            Self::Truncate | Self::ResetInBody => message(&with_length(length), half),
            Self::TruncateChunks => message(CHUNKED, &chunk(half)),
            Self::Busy => "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy".into(),
            Self::BusyAtOnce => closing("503 Busy", "busy").into(),
            Self::ResetAtOnce | Self::CloseWithoutResponse => Vec::new(),
            Self::Garbage => "SSH-2.0-OpenSSH_9.6\r\n".into(),
            Self::HalfHeaderSection => "HTTP/1.1 200 OK\r\nContent-Le".into(),
        }
    }
}

/// Sends an event each time the client requests one, which a client that disconnects does not do.
fn serve_events(pending: &PendingRequest, response: &[u8], mut to: &TcpStream) -> io::Result<()> {
    to.write_all(CHUNKED.as_bytes())?;
    for event in response.chunks(EVENT_LENGTH) {
        let requested = pending.event_requests.lock().unwrap().recv_timeout(DEADLINE);
        requested.map_err(|_| io::ErrorKind::TimedOut)?;
        to.write_all(&chunk(event))?;
    }
    to.write_all(LAST_CHUNK.as_bytes())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";
const CHUNK: usize = 10_000;

pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn closing(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn with_length(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

fn message(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), body].concat()
}
