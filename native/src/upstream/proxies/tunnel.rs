//! A tunnel through an HTTP proxy.

use crate::http1::{Framing, Stream, Wire};
use crate::upstream::error::SendError;
use crate::upstream::origin::Origin;
use http::HeaderValue;
use std::fmt;
use std::future::poll_fn;

/// Asks the HTTP proxy at the end of `stream` for a tunnel to `origin` (RFC 9110 section 9.3.6).
pub(in crate::upstream) async fn ask(
    stream: Stream,
    origin: &Origin,
    authorization: Option<HeaderValue>,
) -> Result<Stream, SendError> {
    let failed = |error: &dyn fmt::Display| SendError::Connect(error.to_string());
    let authority = format!("{}:{}", origin.host(), origin.port());
    let mut wire = Wire::new(stream);
    let head = wire.begin(Framing::Empty);
    let start = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    head.extend_from_slice(start.as_bytes());
    if let Some(authorization) = authorization {
        let parts = [b"Proxy-Authorization: ", authorization.as_bytes(), b"\r\n"];
        head.extend_from_slice(&parts.concat());
    }
    head.extend_from_slice(b"\r\n");
    poll_fn(|context| wire.poll_flush(context)).await.map_err(|error| failed(&error))?;
    let answer = loop {
        // What an answer to CONNECT says of a body counts for nothing (RFC 9110 section 9.3.6).
        let answer = poll_fn(|context| wire.poll_answer(context, true)).await;
        let answer = answer.map_err(|error| failed(&error))?;
        if answer.status >= 200 {
            break answer;
        }
    };
    match (answer.status, wire.into_stream()) {
        (200..=299, Some(stream)) => Ok(stream),
        (200..=299, None) => Err(failed(&"more than an answer to CONNECT came")),
        (status, _) => {
            let reason = answer.reason;
            Err(SendError::Refused(format!(
                "it answered CONNECT {authority} with {status} {reason}"
            )))
        }
    }
}
