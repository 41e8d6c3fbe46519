//! Responds with bytes that are held: whole, in part, or not again (RFC 9110 sections 13 and 14).

use super::response::{HandlerResult, ServiceBody, ServiceResponse, set};
use super::storage::Content;
use http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

pub(super) fn response(content: &Content, head: &Parts) -> HandlerResult {
    let length = content.bytes.len();
    let etag = format!("\"{:x}-{length:x}\"", content.modified.millis());
    let modified = UNIX_EPOCH + Duration::from_secs(content.modified.secs());
    let asked = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());

    let unchanged = asked(IF_NONE_MATCH).is_some_and(|tags| names(tags, &etag));
    let mut response = if unchanged {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        match asked(RANGE).and_then(|range| parse_range(range, length)) {
            None => ServiceResponse::new(ServiceBody::from(content.bytes.clone())),
            Some(None) => {
                let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
                set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"))?;
                response
            }
            Some(Some(range)) => {
                let last = range.end.saturating_sub(1);
                let described = format!("bytes {}-{last}/{length}", range.start);
                let mut response =
                    ServiceResponse::new(ServiceBody::from(content.bytes.slice(range)));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, CONTENT_RANGE, &described)?;
                response
            }
        }
    };
    set(&mut response, ACCEPT_RANGES, "bytes")?;
    set(&mut response, CONTENT_TYPE, &content.content_type)?;
    set(&mut response, ETAG, &etag)?;
    set(&mut response, LAST_MODIFIED, &httpdate::fmt_http_date(modified))?;
    Ok(response)
}

fn empty(status: StatusCode) -> ServiceResponse {
    let mut response = ServiceResponse::new(ServiceBody::from(""));
    *response.status_mut() = status;
    response
}

/// Whether an If-None-Match names `etag`. Its comparison is the weak one.
fn names(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A Range of one part, cut to `length`; `Some(None)` for one of which there is nothing, `None` for
/// one that is not understood and so ignored, as several parts are.
fn parse_range(text: &str, length: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => length.saturating_sub(suffix.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some((range.start < range.end).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_ignored_or_refused() {
        for (text, expected) in [
            ("bytes=0-3", Some(Some(0..4))),
            ("bytes=4-", Some(Some(4..14))),
            ("bytes=-4", Some(Some(10..14))),
            ("bytes=-99", Some(Some(0..14))),
            ("bytes=13-99", Some(Some(13..14))),
            ("bytes=14-", Some(None)),
            ("bytes=14-15", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(parse_range(text, 14), expected, "{text}");
        }
    }
}
