//! What scopes satisfy.

use crate::failure::{HawkError, input};
use taskcluster_proxy_core::credentials::{self, Scope, scopes_from_json, scopes_to_json};
use wasm_bindgen::prelude::*;

/// Whether the holder of `scopes` holds each of `required`.
#[wasm_bindgen]
pub fn satisfies(scopes: &str, required: &str) -> Result<bool, HawkError> {
    Ok(credentials::satisfies(&parse("scopes", scopes)?, &parse("required", required)?))
}

/// The scopes that no other one satisfies.
#[wasm_bindgen(js_name = reduceScopes)]
pub fn reduce_scopes(scopes: &str) -> Result<String, HawkError> {
    Ok(scopes_to_json(&credentials::reduce_scopes(&parse("scopes", scopes)?)))
}

/// Scopes cross the border as a JSON array of strings.
pub(crate) fn parse(argument: &str, scopes: &str) -> Result<Vec<Scope>, HawkError> {
    scopes_from_json(scopes).map_err(|error| input(argument, error))
}
