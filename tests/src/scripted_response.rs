//! Scripted responses of the upstream.

use crate::Latch;
use std::time::Duration;

/// What an [`Upstream`](crate::Upstream) does with one request: it reads the body, then takes
/// the steps that follow. If the connection is still open at the end, it reads the next request.
///
/// ```
/// use support::ScriptedResponse;
///
/// ScriptedResponse::ok("hello");
/// ScriptedResponse::bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfour").then_reset();
/// ScriptedResponse::status(413).before_body().then_close();
/// ```
#[derive(Clone, Debug)]
pub struct ScriptedResponse {
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    ReadBody,
    Send(Vec<u8>),
    Repeat { block: Vec<u8>, length: u64 },
    Trickle { bytes: Vec<u8>, pause: Duration },
    Wait(Latch),
    Close,
    Reset,
    Stall,
}

/// A large body is sent in blocks of this size.
const BLOCK: usize = 64 * 1024;

impl ScriptedResponse {
    /// No response, not even a status line.
    pub fn nothing() -> Self {
        Self { steps: vec![Step::ReadBody] }
    }

    /// Exactly these bytes.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::nothing().then(bytes)
    }

    /// A status, header fields, and a body with a Content-Length.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len() as u64;
        Self::nothing().then(head(status, headers, length)).then(body)
    }

    /// A status, and a body of length 0.
    pub fn status(status: u16) -> Self {
        Self::new(status, &[], "")
    }

    /// 200, and a body with a Content-Length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::new(200, &[], body)
    }

    /// 200, and a body in these chunks, each sent by itself, with the last chunk.
    pub fn chunked(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = chunks.into_iter().fold(Self::bytes(head), Self::then_chunk);
        chunks.then("0\r\n\r\n")
    }

    /// 200, and a body of length `declared` of which only `body` is sent before the connection closes.
    pub fn truncated(declared: u64, body: impl AsRef<[u8]>) -> Self {
        Self::bytes(head(200, &[], declared)).then(body).then_close()
    }

    /// 200, and a body of this many bytes, generated while it is sent.
    pub fn large(length: u64) -> Self {
        let block = (0..BLOCK).map(|at| at as u8).collect();
        let mut response = Self::bytes(head(200, &[], length));
        response.steps.push(Step::Repeat { block, length });
        response
    }

    /// Takes all steps as soon as the header section is read, and does not read the body.
    pub fn before_body(mut self) -> Self {
        self.steps.retain(|step| !matches!(step, Step::ReadBody));
        self
    }

    /// Then reads the body, after [`before_body`](Self::before_body).
    pub fn then_read_body(self) -> Self {
        self.and(Step::ReadBody)
    }

    /// Then sends these bytes.
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.and(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Then sends these bytes as a chunk.
    pub fn then_chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        self.then([size.as_bytes(), bytes, b"\r\n"].concat())
    }

    /// Then sends these bytes one by one, with a pause before each.
    pub fn then_trickle(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.and(Step::Trickle { bytes: bytes.as_ref().to_vec(), pause })
    }

    /// Then waits until the latch is opened.
    pub fn then_wait(self, latch: &Latch) -> Self {
        self.and(Step::Wait(latch.clone()))
    }

    /// Then closes the connection.
    pub fn then_close(self) -> Self {
        self.and(Step::Close)
    }

    /// Then resets the connection.
    pub fn then_reset(self) -> Self {
        self.and(Step::Reset)
    }

    /// Then does nothing until the peer closes the connection.
    pub fn then_stall(self) -> Self {
        self.and(Step::Stall)
    }

    fn and(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

fn head(status: u16, headers: &[(&str, &str)], length: u64) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} \r\n{headers}Content-Length: {length}\r\n\r\n")
}
