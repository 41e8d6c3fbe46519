//! Turns errors of core into the package's errors.

use std::fmt::Display;
use taskcluster_proxy_core::credentials::{AuthenticateError, SignError};
use taskcluster_proxy_core::proxy::RouteError;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// The package's error class.
    pub type HawkError;

    /// An empty `argument` means that the error is about none.
    #[wasm_bindgen(constructor)]
    fn new(code: &str, reason: &str, argument: &str) -> HawkError;
}

/// An error for an invalid `argument`.
pub(crate) fn input(argument: &str, error: impl Display) -> HawkError {
    failure("InputError", &error, argument)
}

pub(crate) fn sign(error: SignError) -> HawkError {
    let argument = match error {
        SignError::Method(_) => "request.method",
        SignError::Nonce => "options.nonce",
        _ => "",
    };
    failure(error.code(), &error, argument)
}

pub(crate) fn route_error(error: RouteError) -> HawkError {
    failure(RouteError::CODE, &error, "")
}

pub(crate) fn authenticate(error: AuthenticateError) -> HawkError {
    failure("AuthenticationFailed", &error, "")
}

/// Not generic: one copy for all types of errors keeps the module small.
fn failure(code: &str, error: &dyn Display, argument: &str) -> HawkError {
    HawkError::new(code, &error.to_string(), argument)
}
