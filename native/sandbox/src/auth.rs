//! The auth service.

use super::call::{Call, Caller};
use super::endpoint::{Endpoint, Handler};
use super::failure::Failure;
use super::payload::{self, Object};
use super::response::{HandlerResult, json};
use super::state::State;
use serde_json::json;
use std::io;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, Scope, ScopeExpression};
use taskcluster_proxy_core::hawk::{RequestLine, UrlParts};

/// The only client there is.
pub(super) const CLIENT_ID: &str = "tester";

/// Its credentials, the same as those that the test endpoints of every deployment know.
pub(super) fn tester() -> io::Result<Credentials> {
    Credentials::permanent(CLIENT_ID, "no-secret").map_err(io::Error::other)
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "test-authenticate-get/",
        name: "testAuthenticateGet",
        scopes: &[],
        handler: Handler::Plain(test_authenticate_get),
    },
    Endpoint {
        method: "GET",
        path: "test-authenticate-get",
        name: "testAuthenticateGet",
        scopes: &[],
        handler: Handler::Plain(test_authenticate_get),
    },
    Endpoint {
        method: "POST",
        path: "test-authenticate",
        name: "testAuthenticate",
        scopes: &[],
        handler: Handler::Json(test_authenticate),
    },
    Endpoint {
        method: "GET",
        path: "scopes/current",
        name: "currentScopes",
        scopes: &[],
        handler: Handler::Plain(current_scopes),
    },
    Endpoint {
        method: "POST",
        path: "authenticate-hawk",
        name: "authenticateHawk",
        scopes: &[],
        handler: Handler::SecretJson(authenticate_hawk),
    },
];

fn test_authenticate_get(call: &Call<'_>, _: &mut State) -> HandlerResult {
    // These are the client's at this endpoint in every deployment.
    let held = call.params.scopes(&["test:*", "auth:create-client:test:*"])?;
    let required = call.params.scopes(&["test:authenticate-get"])?;
    answer_test(&Caller::authenticate_with(call, held)?, &required)
}

fn test_authenticate(call: &Call<'_>, payload: &Object, _: &mut State) -> HandlerResult {
    let held = payload::scopes(payload, "clientScopes")?;
    let required = payload::scopes(payload, "requiredScopes")?;
    answer_test(&Caller::authenticate_with(call, held)?, &required)
}

fn answer_test(caller: &Caller, required: &[Scope]) -> HandlerResult {
    let required = required.iter().cloned().map(ScopeExpression::Scope).collect();
    caller.require(&ScopeExpression::AllOf(required))?;
    json(&json!({ "clientId": caller.client_id(), "scopes": caller.scopes }))
}

fn current_scopes(call: &Call<'_>, _: &mut State) -> HandlerResult {
    json(&json!({ "scopes": Caller::authenticate(call)?.scopes }))
}

fn authenticate_hawk(call: &Call<'_>, payload: &Object, _: &mut State) -> HandlerResult {
    // The services send it in lower case; Hawk signs it in upper case.
    let method = payload::string(payload, "method")?.to_ascii_uppercase();
    let request = RequestLine {
        method: &method,
        url: UrlParts {
            host: payload::string(payload, "host")?,
            port: payload::integer(payload, "port")?,
            resource: payload::string(payload, "resource")?,
        },
        authorization: payload::optional(payload, "authorization", payload::string)?
            .filter(|authorization| !authorization.is_empty()),
    };
    let everything = Scope::new("*").map_err(Failure::internal)?;
    let caller = match Caller::of(call, request, vec![everything]) {
        Ok(caller) => caller,
        Err(error) => {
            return json(&json!({ "status": "auth-failed", "message": error.to_string() }));
        }
    };
    let Some(client_id) = caller.client_id else {
        let expires = call.now.plus(Duration::from_secs(15 * 60)).to_rfc3339();
        return json(&json!({
            "status": "no-auth", "scheme": "none", "scopes": caller.scopes, "expires": expires,
        }));
    };
    // Every client of a real deployment has an expiry, and the response has to have one.
    let expires = caller.expires.unwrap_or_else(|| call.now.plus(YEAR));
    let mut response = json!({
        "status": "auth-success",
        "scheme": "hawk",
        "clientId": client_id,
        "scopes": caller.scopes,
        "expires": expires.to_rfc3339(),
    });
    if let (Some(hash), Some(response)) = (caller.hash, response.as_object_mut()) {
        response.insert("hash".to_owned(), hash.into());
    }
    json(&response)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
