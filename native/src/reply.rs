//! The heads of answers, and the answers of the proxy's own.

use crate::clock::{self, Nonce};
use crate::credentials::Snapshot;
use crate::http1::{Fields, Framing, Wire};
use crate::upstream::Target;
use http::StatusCode;
use std::future::poll_fn;
use std::io;
use taskcluster_proxy_core::proxy::{ProxyError, ReplyHeaders};

/// The head of an answer to a client.
#[derive(Debug)]
pub struct Head<'a> {
    /// The status.
    pub status: u16,
    /// Its name.
    pub reason: &'a str,
    /// What it says of itself.
    pub fields: &'a Fields,
    /// How the end of its body is found, where it comes from.
    pub framing: Framing,
    /// Where it comes from, if that is an upstream.
    pub endpoint: Option<&'a Target>,
}

/// Which request an answer is to, and what its client can do with it.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The request's id.
    pub request_id: Nonce,
    /// It speaks HTTP/1.0, which knows no chunks.
    pub http10: bool,
    /// It may use the connection again. One that may not and is not told so sends its next request
    /// there, and loses it (RFC 9112 section 9.6; for one that waits to be told to continue, RFC 9110
    /// section 10.1.1).
    pub keep_alive: bool,
}

impl Head<'_> {
    /// Begins the answer: with credentials of whom, for whom. Whether the connection can be used
    /// again after it.
    pub fn begin(&self, client: &mut Wire, whose: &Snapshot, reader: Reader) -> bool {
        let framing = match (self.framing, reader.http10) {
            (Framing::Chunked | Framing::UntilClose, true) => Framing::UntilClose,
            (Framing::Chunked | Framing::UntilClose, false) => Framing::Chunked,
            (framing, _) => framing,
        };
        let keep_alive = reader.keep_alive && framing != Framing::UntilClose;
        let into = client.begin(framing);
        let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| into.extend_from_slice(part));
        let mut status = itoa::Buffer::new();
        let status = status.format(self.status).as_bytes();
        // As the Go program does: some clients of HTTP/1.0 take nothing else.
        push(&[if reader.http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " }]);
        push(&[status, b" ", self.reason.as_bytes(), b"\r\n"]);
        push(&[self.fields.as_bytes(), whose.reply_fields.as_bytes()]);
        push(&[ReplyHeaders::REQUEST_ID.as_bytes(), b": "]);
        push(&[reader.request_id.as_str().as_bytes(), b"\r\n"]);
        if let Some(Target { origin, resource, .. }) = self.endpoint {
            push(&[ReplyHeaders::ENDPOINT.as_bytes(), b": ", origin.as_str().as_bytes()]);
            push(&[resource.as_bytes(), b"\r\n"]);
        }
        match (keep_alive, reader.http10) {
            (true, false) => {}
            (true, true) => push(&[b"Connection: keep-alive\r\n"]),
            (false, _) => push(&[b"Connection: close\r\n"]),
        }
        match framing {
            Framing::Chunked => push(&[b"Transfer-Encoding: chunked\r\n\r\n"]),
            _ => push(&[b"\r\n"]),
        }
        keep_alive
    }
}

/// An answer of the proxy's own.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    fields: Fields,
    body: String,
}

impl Reply {
    /// An empty one.
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, None, String::new())
    }

    /// The answer to `POST /bewit`.
    pub fn see_other(url: String) -> Self {
        let mut reply = Self::new(StatusCode::SEE_OTHER, Some("text/plain; charset=utf-8"), url);
        // A URL that was parsed and percent-encoded can stand in a header.
        reply.fields.push("Location", reply.body.as_bytes());
        reply
    }

    /// An error in the shape of Taskcluster's services.
    pub fn error(error: &ProxyError) -> Self {
        let mut reply = Self::new(error.status(), Some("application/json"), error.to_json());
        if let Some(allow) = error.allow() {
            reply.fields.push("Allow", allow.as_bytes());
        }
        reply
    }

    fn new(status: StatusCode, content_type: Option<&str>, body: String) -> Self {
        let mut fields = Fields::default();
        if let Some(content_type) = content_type {
            fields.push("Content-Type", content_type.as_bytes());
        }
        fields.push("Content-Length", itoa::Buffer::new().format(body.len()).as_bytes());
        // An answer from upstream keeps the date that it came with, or none.
        fields.push("Date", clock::http_date().as_bytes());
        Self { status, fields, body }
    }

    /// Sends it; `bodiless`: as the answer to a HEAD request. Whether the connection can be used
    /// again after it.
    ///
    /// # Errors
    ///
    /// The client went away.
    pub async fn send(
        &self,
        client: &mut Wire,
        whose: &Snapshot,
        reader: Reader,
        bodiless: bool,
    ) -> io::Result<bool> {
        let mut body = if bodiless { &[] } else { self.body.as_bytes() };
        let framing = match body.len() {
            0 => Framing::Empty,
            length => Framing::Length(length as u64),
        };
        let head = Head {
            status: self.status.as_u16(),
            reason: self.status.canonical_reason().unwrap_or_default(),
            fields: &self.fields,
            framing,
            endpoint: None,
        };
        let keep_alive = head.begin(client, whose, reader);
        while !body.is_empty() {
            let count = poll_fn(|context| client.poll_write(context, body)).await?;
            body = body.get(count..).unwrap_or_default();
        }
        poll_fn(|context| client.poll_finish(context, &Fields::default())).await?;
        Ok(keep_alive)
    }
}
