//! Where the proxy forwards a request to.

use crate::failure::{HawkError, input, route_error};
use taskcluster_proxy_core::proxy::{Destination, RootUrlError};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// A route as the package gives it out.
    #[wasm_bindgen(js_name = route)]
    fn shape(kind: &str, url: Option<String>) -> JsValue;
}

/// Where a request target leads. `root_url` is one that JavaScript's `URL` has read.
#[wasm_bindgen]
pub fn route(target: &str, root_url: &str) -> Result<JsValue, HawkError> {
    if root_url.contains('?') {
        return Err(input("rootUrl", RootUrlError::Query));
    }
    let destination = Destination::of_target(target).map_err(route_error)?;
    let kind = match destination {
        Destination::Bewit => "bewit",
        Destination::Credentials => "credentials",
        Destination::Service { .. } => "api",
        Destination::Host { .. } => "host",
    };
    Ok(shape(kind, destination.url(root_url.trim_end_matches('/'))))
}
