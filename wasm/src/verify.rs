//! Verification of requests.

use crate::failure::{self, HawkError, input};
use crate::{json, scopes, timestamp};
use taskcluster_proxy_core::credentials::{
    AccessToken, AuthenticateError, Client, Verified, authenticate_with, scopes_to_json,
};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// Makes the JavaScript object for a verified request.
    #[wasm_bindgen(js_name = verified)]
    fn shape(client_id: &str, scopes: &str, expires: Option<f64>, hash: Option<String>) -> JsValue;
}

/// The clientId whose key verifies the request; `None` if the request is not signed.
#[wasm_bindgen]
pub fn claimant(
    method: &str,
    host: &str,
    port: u16,
    resource: &str,
    authorization: Option<String>,
    now: f64,
) -> Result<Option<String>, HawkError> {
    let mut asked = None;
    let authorization = authorization.as_deref();
    let request = ReceivedRequest { method, url: UrlParts { host, port, resource }, authorization };
    match (check(request, now, None, &mut asked), asked) {
        // Without a known client verification always fails here.
        (_, Some(client_id)) => Ok(Some(client_id)),
        (result, None) => result.map(|_| None).map_err(failure::authenticate),
    }
}

/// Verifies a request. `access_token` is that of the [`claimant`]; `None` if the client is unknown.
#[wasm_bindgen]
#[expect(
    clippy::too_many_arguments,
    reason = "JavaScript passes the parts of a request one by one"
)]
pub fn verify(
    method: &str,
    host: &str,
    port: u16,
    resource: &str,
    authorization: Option<String>,
    now: f64,
    access_token: Option<String>,
    held: &str,
) -> Result<JsValue, HawkError> {
    let client = match access_token {
        None => None,
        Some(access_token) => Some(Client {
            access_token: AccessToken::new(access_token)
                .map_err(|error| input("credentialsFor(..).accessToken", error))?,
            scopes: scopes::parse("credentialsFor(..).scopes", held)?,
            expires: None,
        }),
    };
    let authorization = authorization.as_deref();
    let request = ReceivedRequest { method, url: UrlParts { host, port, resource }, authorization };
    let verified = check(request, now, client, &mut None).map_err(failure::authenticate)?;
    Ok(verified.map_or(JsValue::UNDEFINED, |verified| {
        shape(
            &verified.client_id,
            &scopes_to_json(&verified.scopes),
            verified.expires.map(|expires| expires.millis() as f64),
            verified.hash,
        )
    }))
}

/// Authenticates a request with `client` as the only known client; sets `asked` to the clientId that
/// was looked up.
fn check(
    request: ReceivedRequest<'_>,
    now: f64,
    client: Option<Client>,
    asked: &mut Option<String>,
) -> Result<Option<Verified>, AuthenticateError> {
    authenticate_with(request, timestamp(now), json::parse, |client_id| {
        *asked = Some(client_id.to_owned());
        client
    })
}
