use crate::Gate;
use std::time::Duration;

/// What an [`Upstream`](crate::Upstream) does on one request, act by act: first it reads the body,
/// then it does what follows. If it has not closed by the end, it reads the next request.
///
/// ```
/// use stories::Answer;
///
/// Answer::ok("hello");
/// Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfour").then_reset();
/// Answer::status(413).before_body().then_close();
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) acts: Vec<Act>,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    ReadBody,
    Send(Vec<u8>),
    Repeat { block: Vec<u8>, length: u64 },
    Trickle { bytes: Vec<u8>, pause: Duration },
    Wait(Gate),
    Close,
    Reset,
    Stall,
}

/// A large body is sent in blocks of this size.
const BLOCK: usize = 64 * 1024;

impl Answer {
    /// Nothing at all, not even a status line.
    pub fn nothing() -> Self {
        Self { acts: vec![Act::ReadBody] }
    }

    /// Exactly these bytes.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::nothing().then(bytes)
    }

    /// A status, headers, and a body of known length.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len() as u64;
        Self::nothing().then(head(status, headers, length)).then(body)
    }

    /// A status, and a body of length 0.
    pub fn status(status: u16) -> Self {
        Self::new(status, &[], "")
    }

    /// 200, and a body of known length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[], body)
    }

    /// 200, and a body in these chunks, each sent by itself; then the last chunk.
    pub fn chunked(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = chunks.into_iter().fold(Self::bytes(head), Self::then_chunk);
        chunks.then("0\r\n\r\n")
    }

    /// 200, and a body of which the connection's end cuts off everything after `body`.
    pub fn cut_short(declared: u64, body: impl AsRef<[u8]>) -> Self {
        Self::bytes(head(200, &[], declared)).then(body).then_close()
    }

    /// 200, and a body of this many bytes, which is never in memory as a whole.
    pub fn large(length: u64) -> Self {
        let block = (0..BLOCK).map(|at| at as u8).collect();
        let mut answer = Self::bytes(head(200, &[], length));
        answer.acts.push(Act::Repeat { block, length });
        answer
    }

    /// Does all this as soon as the head is read, and does not read the body.
    pub fn before_body(mut self) -> Self {
        self.acts.retain(|act| !matches!(act, Act::ReadBody));
        self
    }

    /// Then reads the body, after what [`before_body`](Self::before_body) moved to the front.
    pub fn then_read_body(self) -> Self {
        self.and(Act::ReadBody)
    }

    /// Then sends these bytes.
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.and(Act::Send(bytes.as_ref().to_vec()))
    }

    /// Then sends these bytes as a chunk.
    pub fn then_chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        self.then([size.as_bytes(), bytes, b"\r\n"].concat())
    }

    /// Then sends these bytes one by one, with a pause before each.
    pub fn then_trickle(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.and(Act::Trickle { bytes: bytes.as_ref().to_vec(), pause })
    }

    /// Then waits until the gate is opened.
    pub fn then_wait(self, gate: &Gate) -> Self {
        self.and(Act::Wait(gate.clone()))
    }

    /// Then closes the connection in an orderly way.
    pub fn then_close(self) -> Self {
        self.and(Act::Close)
    }

    /// Then resets the connection.
    pub fn then_reset(self) -> Self {
        self.and(Act::Reset)
    }

    /// Then does nothing more until the peer closes.
    pub fn then_stall(self) -> Self {
        self.and(Act::Stall)
    }

    fn and(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }
}

fn head(status: u16, headers: &[(&str, &str)], length: u64) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} \r\n{headers}Content-Length: {length}\r\n\r\n")
}
