//! Responds with stored content, and supports range requests and conditional requests (RFC 9110 sections 13
//! and 14).

use super::storage::Content;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

/// The response with `content` to a request with the header fields `request`.
pub(super) fn response(content: &Content, request: &HeaderMap) -> Response {
    let length = content.bytes.len();
    let etag = format!("\"{:x}-{length:x}\"", content.modified.millis());
    let modified = UNIX_EPOCH + Duration::from_secs(content.modified.secs());
    let field = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());

    let response = if field(IF_NONE_MATCH).is_some_and(|tags| matches(tags, &etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match field(RANGE).and_then(|range| parse_range(range, length)) {
            None => Body::from(content.bytes.clone()).into_response(),
            Some(None) => {
                let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
                (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response()
            }
            Some(Some(part)) => {
                let last = part.end.saturating_sub(1);
                let range = [(CONTENT_RANGE, format!("bytes {}-{last}/{length}", part.start))];
                let body = Body::from(content.bytes.slice(part));
                (StatusCode::PARTIAL_CONTENT, range, body).into_response()
            }
        }
    };
    let metadata = [
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_TYPE, content.content_type.clone()),
        (ETAG, etag),
        (LAST_MODIFIED, httpdate::fmt_http_date(modified)),
    ];
    (metadata, response).into_response()
}

/// Whether the value of `If-None-Match` matches `etag`, by weak comparison.
fn matches(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Parses the value of `Range` with a single range, which is limited to `length`. Returns `Some(None)` if
/// the range is not satisfiable, and `None` if the field is invalid or has several ranges, so that it is
/// ignored.
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
    fn ranges_are_limited_ignored_or_not_satisfiable() {
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
