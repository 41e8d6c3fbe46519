//! Decodes the signature of a request, for debugging.

use crate::failure::{self, HawkError};
use taskcluster_proxy_core::hawk::{Claim, Kind, ReceivedRequest, UrlParts};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// Makes the JavaScript object of a claim. `ts` is that of the header, or the expiry of the bewit, in seconds.
    #[wasm_bindgen(js_name = claim)]
    fn shape(
        is_bewit: bool,
        client_id: &str,
        ts: f64,
        nonce: &str,
        mac: &str,
        ext: Option<String>,
        normalized_string: &str,
    ) -> JsValue;
}

/// Decodes the signature of a request, without verifying it, and returns the normalized string, too.
#[wasm_bindgen]
pub fn inspect(
    method: &str,
    host: &str,
    port: u16,
    resource: &str,
    authorization: Option<String>,
) -> Result<JsValue, HawkError> {
    let authorization = authorization.as_deref();
    let claim = Claim::read(ReceivedRequest {
        method,
        url: UrlParts { host, port, resource },
        authorization,
    })
    .map_err(failure::authenticate)?;
    Ok(claim.map_or(JsValue::UNDEFINED, |claim| {
        let artifacts = claim.artifacts();
        shape(
            claim.kind() == Kind::Bewit,
            claim.id(),
            artifacts.ts as f64,
            artifacts.nonce,
            claim.mac(),
            claim.ext().map(str::to_owned),
            &artifacts.normalized_string(),
        )
    }))
}
