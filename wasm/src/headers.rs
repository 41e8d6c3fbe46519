//! The header fields of a message that a proxy does not forward.

use taskcluster_proxy_core::proxy::{HeaderRole, list_members};
use wasm_bindgen::prelude::*;

/// Returns the names that are not forwarded, one per line, as in `names`; `connection` is the value of `Connection`.
#[wasm_bindgen(js_name = notForwarded)]
pub fn not_forwarded(names: &str, connection: &str, of_request: bool) -> String {
    let is_named = |name: &str| {
        list_members(connection.as_bytes())
            .any(|member| member.eq_ignore_ascii_case(name.as_bytes()))
    };
    let is_forwarded = |name: &str| match HeaderRole::of(name) {
        // It describes the body, and is forwarded even if `Connection` names it.
        HeaderRole::ContentLength => true,
        // `fetch` does not wait for a 100 (Continue), and takes it for the response in workerd.
        HeaderRole::Expect => false,
        role if of_request => role.is_forwarded_in_requests() && !is_named(name),
        role => role.is_forwarded_in_responses() && !is_named(name),
    };
    names.lines().filter(|name| !is_forwarded(name)).collect::<Vec<_>>().join("\n")
}
