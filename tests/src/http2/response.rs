//! Scripted responses of the HTTP/2 upstream.

use crate::Latch;
use h2::Reason;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// What an [`Http2Upstream`](crate::Http2Upstream) does with one request: it reads the body, then
/// takes the steps that follow. If the stream has not ended then, it is reset.
///
/// ```
/// use support::Http2Response;
///
/// Http2Response::ok("hello");
/// Http2Response::head(200, &[]).then_large(1 << 30).then_end();
/// Http2Response::refused();
/// ```
#[derive(Clone, Debug)]
pub struct Http2Response {
    pub(super) reading: Reading,
    pub(super) steps: Vec<Step>,
}

/// When the request's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    First,
    Meanwhile,
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Interim(u16),
    Headers { status: u16, headers: HeaderMap, end: bool },
    Data { bytes: Vec<u8>, end: bool },
    Large(u64),
    Trailers(HeaderMap),
    ReadBody,
    Wait(Latch),
    Reset(Reason),
    Stall,
}

impl Http2Response {
    /// No response at all; see [`then_reset`](Self::then_reset) and [`then_stall`](Self::then_stall).
    pub fn nothing() -> Self {
        Self { reading: Reading::First, steps: Vec::new() }
    }

    /// A header section, and nothing more yet.
    pub fn head(status: u16, headers: &[(&str, &str)]) -> Self {
        Self::nothing().then_head(status, headers)
    }

    /// A header section that ends the stream.
    pub fn head_only(status: u16, headers: &[(&str, &str)]) -> Self {
        Self::nothing().and(Step::Headers { status, headers: header_map(headers), end: true })
    }

    /// A status, and a Content-Length of 0.
    pub fn status(status: u16) -> Self {
        Self::head_only(status, &[("content-length", "0")])
    }

    /// 200, and a body with its Content-Length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        Self::head(200, &[("content-length", &length)]).then(body).then_end()
    }

    /// 200, and a body of this many bytes, generated while it is sent.
    pub fn large(length: u64) -> Self {
        let head = Self::head(200, &[("content-length", &length.to_string())]);
        head.then_large(length).then_end()
    }

    /// RST_STREAM with REFUSED_STREAM: the request was not processed (RFC 9113 section 8.7).
    pub fn refused() -> Self {
        Self::nothing().before_body().then_reset(Reason::REFUSED_STREAM)
    }

    /// Does not read the body, unless [`then_read_body`](Self::then_read_body) says when.
    pub fn before_body(mut self) -> Self {
        self.reading = Reading::Never;
        self
    }

    /// Reads the body while it takes the steps.
    pub fn while_reading_body(mut self) -> Self {
        self.reading = Reading::Meanwhile;
        self
    }

    /// Then reads the body to its end.
    pub fn then_read_body(self) -> Self {
        self.and(Step::ReadBody)
    }

    /// Then sends an interim response (1xx).
    pub fn then_interim(self, status: u16) -> Self {
        self.and(Step::Interim(status))
    }

    /// Then sends a header section.
    pub fn then_head(self, status: u16, headers: &[(&str, &str)]) -> Self {
        self.and(Step::Headers { status, headers: header_map(headers), end: false })
    }

    /// Then sends this much of the body.
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.and(Step::Data { bytes: bytes.as_ref().to_vec(), end: false })
    }

    /// Then sends so many bytes of the body.
    pub fn then_large(self, length: u64) -> Self {
        self.and(Step::Large(length))
    }

    /// Then sends these trailers, which end the stream.
    pub fn then_trailers(self, trailers: &[(&str, &str)]) -> Self {
        self.and(Step::Trailers(header_map(trailers)))
    }

    /// Then ends the stream.
    pub fn then_end(self) -> Self {
        self.and(Step::Data { bytes: Vec::new(), end: true })
    }

    /// Then waits until the latch is opened.
    pub fn then_wait(self, latch: &Latch) -> Self {
        self.and(Step::Wait(latch.clone()))
    }

    /// Then resets the stream. Data that was sent before may be lost; where it must not
    /// be, use [`Frames`](crate::Frames).
    pub fn then_reset(self, reason: Reason) -> Self {
        self.and(Step::Reset(reason))
    }

    /// Then does nothing more until the client resets the stream or the connection ends.
    pub fn then_stall(self) -> Self {
        self.and(Step::Stall)
    }

    fn and(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("the test gives a header name");
        let value: HeaderValue = value.parse().expect("the test gives a header value");
        (name, value)
    });
    pairs.collect()
}
