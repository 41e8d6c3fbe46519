//! Removes the header fields that are not forwarded, such as hop-by-hop fields.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};
use taskcluster_proxy_core::proxy::{HeaderRole, list_members, names_option};

/// The header fields of a request that are forwarded.
#[derive(Debug)]
pub(super) struct ForwardedHeaders {
    pub(super) headers: HeaderMap,
    /// Whether the client accepts trailer fields.
    pub(super) accepts_trailers: bool,
}

impl ForwardedHeaders {
    /// Removes the hop-by-hop fields and those that the proxy replaces.
    pub(super) fn of_request(mut headers: HeaderMap) -> Self {
        let accepts_trailers = names_option(&headers, &TE, "trailers");
        remove_hop_by_hop(&mut headers, |role| !role.is_forwarded_in_requests());
        Self { headers, accepts_trailers }
    }
}

/// Removes the fields that `Connection` names (RFC 9110 section 7.6.1), and those for whose role
/// `is_removed` is true. `Content-Length` stays, unless the body is chunked.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap, is_removed: impl Fn(HeaderRole) -> bool) {
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| list_members(value.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // Both describe the body, so `Connection` must not remove them.
        .filter(|name| *name != EXPECT && *name != CONTENT_LENGTH)
        .collect();
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| match HeaderRole::of(name.as_str()) {
            HeaderRole::ContentLength => chunked,
            role => is_removed(role),
        })
        .cloned()
        .collect();
    for name in named.iter().chain(&removed) {
        headers.remove(name);
    }
}
