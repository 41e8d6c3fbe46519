//! Where the proxy routes a request.

use crate::failure::{HawkError, route_error};
use taskcluster_proxy_core::proxy::Destination;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// Makes the JavaScript object of a route.
    #[wasm_bindgen(js_name = route)]
    fn shape(kind: &str, url: Option<String>) -> JsValue;
}

/// The route of a request target. `root_url` has no query, and no slash at its end.
#[wasm_bindgen]
pub fn route(target: &str, root_url: &str) -> Result<JsValue, HawkError> {
    let destination = Destination::of_target(target).map_err(route_error)?;
    let kind = match destination {
        Destination::Bewit => "bewit",
        Destination::Credentials => "credentials",
        Destination::Service { .. } => "api",
        Destination::Host { .. } => "host",
    };
    Ok(shape(kind, destination.url(root_url)))
}
