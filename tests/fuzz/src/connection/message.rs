//! Messages as read by the parser of the end-to-end tests, which shares no code with the proxy.

use std::io::ErrorKind;
use support::http1::{Body, Head};

/// A response, as far as it was received.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// Whether it looks complete.
    pub(super) complete: bool,
    /// The bytes after it.
    pub(super) rest: &'a [u8],
}

/// A request, as far as it was received.
pub(super) struct Request<'a> {
    pub(super) head: Head,
    /// `None` if it is incomplete.
    pub(super) body: Option<Vec<u8>>,
    /// The bytes after it.
    pub(super) rest: &'a [u8],
}

impl<'a> Response<'a> {
    /// The first final response to a POST in `bytes`, after which the connection was closed
    /// or, unless `orderly`, reset.
    pub(super) fn read(bytes: &'a [u8], orderly: bool) -> Option<Self> {
        let mut rest = skip_empty_lines(bytes);
        let mut head = read_head(&mut rest)?;
        while head.word(1).starts_with('1') && head.word(1) != "101" {
            rest = skip_empty_lines(rest);
            head = read_head(&mut rest)?;
        }
        let mut framing = Body::of_response(&head, "POST");
        let mut body = Vec::new();
        let ended = loop {
            match framing.next(&mut rest) {
                Ok(Some(piece)) => body.extend(piece),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let framed = framings(&head) > 0;
        Some(Self { head, body, complete: ended && (framed || orderly), rest })
    }
}

impl<'a> Request<'a> {
    /// The first request in `bytes`; `None` if its header section is incomplete.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let head = read_head(&mut rest)?;
        let mut framing = Body::of_request(&head);
        let mut body = Vec::new();
        let complete = loop {
            match framing.next(&mut rest) {
                Ok(Some(piece)) => body.extend(piece),
                Ok(None) => break true,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break false,
                Err(error) => panic!("the framing of the body of {head:?} is invalid: {error}"),
            }
        };
        Some(Self { head, body: complete.then_some(body), rest })
    }
}

/// A recipient may skip empty lines before a message (RFC 9112 section 2.2), and hyper does.
fn skip_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// The number of framing fields in a header section.
pub(super) fn framings(head: &Head) -> usize {
    head.all("content-length").len() + head.all("transfer-encoding").len()
}

/// Replaces bytes outside of ASCII, as the parser of the tests only reads text.
fn read_head(from: &mut &[u8]) -> Option<Head> {
    let head = Head::read(from).ok()??;
    let ascii = |byte: &u8| if byte.is_ascii() { *byte } else { b'?' };
    let ascii: Vec<u8> = head.bytes().iter().map(ascii).collect();
    Head::read(&mut ascii.as_slice()).ok()?
}
