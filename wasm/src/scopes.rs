//! Which scopes satisfy others.

use crate::failure::{HawkError, input};
use crate::json;
use taskcluster_proxy_core::credentials::{self, Scope, scopes_from_value, scopes_to_json};
use wasm_bindgen::prelude::*;

/// Whether `scopes` satisfy each of `required`.
#[wasm_bindgen]
pub fn satisfies(scopes: &str, required: &str) -> Result<bool, HawkError> {
    Ok(credentials::satisfies(&parse("scopes", scopes)?, &parse("required", required)?))
}

/// The scopes that no other one satisfies.
#[wasm_bindgen(js_name = reduceScopes)]
pub fn reduce_scopes(scopes: &str) -> Result<String, HawkError> {
    Ok(scopes_to_json(&credentials::reduce_scopes(&parse("scopes", scopes)?)))
}

/// Parses scopes, which JavaScript passes as a JSON array of strings.
pub(crate) fn parse(argument: &str, scopes: &str) -> Result<Vec<Scope>, HawkError> {
    let json = json::parse(scopes).ok_or_else(|| input(argument, json::EXPECTED))?;
    scopes_from_value(&json).map_err(|error| input(argument, error))
}
