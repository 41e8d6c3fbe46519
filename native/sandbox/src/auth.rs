//! The auth service.

use super::body::{Payload, SecretPayload};
use super::caller::{Caller, SignedRequest};
use super::deployment::{Shared, now};
use super::failure::Failure;
use super::payload;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, Scope, ScopeExpression};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts};

/// The clientId of the only client.
pub(super) const CLIENT_ID: &str = "tester";

/// The credentials of the client, which are those of the test endpoints of every deployment.
pub(super) fn tester() -> io::Result<Credentials> {
    Credentials::permanent(CLIENT_ID, "no-secret").map_err(io::Error::other)
}

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let test_get = deployment.method("testAuthenticateGet", &[], get(test_authenticate_get));
    let test = deployment.method("testAuthenticate", &[], post(test_authenticate));
    let scopes = deployment.method("currentScopes", &[], get(current_scopes));
    let hawk = deployment.method("authenticateHawk", &[], post(authenticate_hawk));
    Router::new()
        .route("/test-authenticate-get/", test_get.clone())
        .route("/test-authenticate-get", test_get)
        .route("/test-authenticate", test)
        .route("/scopes/current", scopes)
        .route("/authenticate-hawk", hawk)
}

async fn test_authenticate_get(
    State(deployment): State<Shared>,
    signed: SignedRequest,
) -> Result<Json<Value>, Failure> {
    let scope = |text| Scope::new(text).map_err(Failure::internal);
    // The client has these scopes at this endpoint of every deployment.
    let held = vec![scope("test:*")?, scope("auth:create-client:test:*")?];
    let required = vec![scope("test:authenticate-get")?];
    test_response(&signed.caller_with(&deployment, held)?, required)
}

async fn test_authenticate(
    State(deployment): State<Shared>,
    signed: SignedRequest,
    Payload(payload): Payload,
) -> Result<Json<Value>, Failure> {
    let held = payload::scopes(&payload, "clientScopes")?;
    let required = payload::scopes(&payload, "requiredScopes")?;
    test_response(&signed.caller_with(&deployment, held)?, required)
}

fn test_response(caller: &Caller, required: Vec<Scope>) -> Result<Json<Value>, Failure> {
    caller.require(ScopeExpression::AllOf(
        required.into_iter().map(ScopeExpression::from).collect(),
    ))?;
    Ok(Json(json!({ "clientId": caller.client_id(), "scopes": caller.scopes })))
}

async fn current_scopes(caller: Caller) -> Json<Value> {
    Json(json!({ "scopes": caller.scopes }))
}

async fn authenticate_hawk(
    State(deployment): State<Shared>,
    SecretPayload(payload): SecretPayload,
) -> Result<Json<Value>, Failure> {
    let now = now();
    // The services send the method in lower case; Hawk signs it in upper case.
    let method = payload::string(&payload, "method")?.to_ascii_uppercase();
    let request = ReceivedRequest {
        method: &method,
        url: UrlParts {
            host: payload::string(&payload, "host")?,
            port: payload::integer(&payload, "port")?,
            resource: payload::string(&payload, "resource")?,
        },
        authorization: payload::optional(&payload, "authorization", payload::string)?
            .filter(|authorization| !authorization.is_empty()),
    };
    let everything = Scope::new("*").map_err(Failure::internal)?;
    let caller = match Caller::authenticate(request, &deployment, now, vec![everything]) {
        Ok(caller) => caller,
        Err(error) => {
            return Ok(Json(json!({ "status": "auth-failed", "message": error.to_string() })));
        }
    };
    let Some(client_id) = caller.client_id else {
        let expires = now.plus(Duration::from_secs(15 * 60)).to_rfc3339();
        return Ok(Json(json!({
            "status": "no-auth", "scheme": "none", "scopes": caller.scopes, "expires": expires,
        })));
    };
    // The response must have an expiry, as every client of a real deployment has one.
    let expires = caller.expires.unwrap_or_else(|| now.plus(YEAR));
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
    Ok(Json(response))
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
