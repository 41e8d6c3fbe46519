//! Compression of responses, as the services' Express middleware does it.

use super::response::{ServiceBody, ServiceResponse};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use std::io::{self, Write};

/// What is smaller goes as it is, in bytes.
const THRESHOLD: usize = 1024;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
}

/// Compresses JSON for a client whose request had `headers`, if it accepts that and it is large enough.
pub(super) fn compress(headers: &HeaderMap, response: ServiceResponse) -> ServiceResponse {
    let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !content_type.starts_with(b"application/json") {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let encoded = match (accepted(headers), &body) {
        (Some(coding), ServiceBody::Held(content)) if content.len() >= THRESHOLD => {
            encode(coding, content).ok().map(|content| (coding, content))
        }
        _ => None,
    };
    let body = match encoded {
        None => body,
        Some((coding, content)) => {
            let name = HeaderValue::from_static(coding.name());
            head.headers.insert(CONTENT_ENCODING, name);
            content.into()
        }
    };
    ServiceResponse::from_parts(head, body)
}

/// The coding that the client accepts, gzip rather than deflate.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let members: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let accepts = |name: &str| {
        members.iter().any(|member| {
            let (coding, weight) = member.split_once(';').unwrap_or((member, ""));
            coding.trim().eq_ignore_ascii_case(name) && !is_zero(weight)
        })
    };
    [Coding::Gzip, Coding::Deflate].into_iter().find(|coding| accepts(coding.name()))
}

/// Whether a weight rules a coding out (RFC 9110 section 12.4.2).
fn is_zero(weight: &str) -> bool {
    let weight = weight.trim().strip_prefix("q=");
    weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0))
}

fn encode(coding: Coding, content: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(content)?;
            encoder.finish()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(content)?;
            encoder.finish()
        }
    }
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}
