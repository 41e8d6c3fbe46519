//! Tests of HTTP itself: framing, header fields, limits, malformed and hostile messages, HTTP/2
//! upstreams.

mod bad_http;
mod descriptors;
mod floods;
mod headers;
mod http2;
mod http_semantics;
mod injection;
mod limits;
mod response_splitting;
mod smuggling;
