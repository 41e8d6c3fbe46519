//! The secrets service.

use super::body::SecretPayload;
use super::deployment::{Shared, now};
use super::failure::Failure;
use super::page::{Arguments, PageRequest};
use super::payload;
use axum::extract::{Path, State};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use taskcluster_proxy_core::Timestamp;

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let all = deployment.method("list", &["secrets:list-secrets"], get(list));
    let one = deployment
        .method("get", &["secrets:get:{name}"], get(secret))
        .merge(deployment.method("set", &["secrets:set:{name}"], put(set)))
        .merge(deployment.method("remove", &["secrets:set:{name}"], delete(remove)));
    Router::new().route("/secrets", all).route("/secret/{*name}", one)
}

pub(super) struct Secret {
    pub(super) secret: Value,
    pub(super) expires: Timestamp,
}

async fn list(
    State(deployment): State<Shared>,
    Arguments(request): Arguments<PageRequest>,
) -> Result<Json<Value>, Failure> {
    let (now, records) = (now(), deployment.records());
    let current = records.secrets.iter().filter(|(_, secret)| secret.expires > now);
    let names: Vec<&String> = current.map(|(name, _)| name).collect();
    let names = names.into_iter().map(|name| Value::from(name.as_str()));
    Ok(Json(request.page("secrets", names)?.into()))
}

async fn secret(
    State(deployment): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Failure> {
    let records = deployment.records();
    let secret = records.secrets.get(&name).filter(|secret| secret.expires > now());
    let Some(Secret { secret, expires }) = secret else {
        return Err(Failure::NotFound("there is no such secret, or it has expired".to_owned()));
    };
    Ok(Json(json!({ "secret": secret, "expires": expires.to_rfc3339() })))
}

async fn set(
    State(deployment): State<Shared>,
    Path(name): Path<String>,
    SecretPayload(payload): SecretPayload,
) -> Result<Json<Value>, Failure> {
    let secret = payload::object(&payload, "secret")?.clone().into();
    let expires = payload::datetime(&payload, "expires")?;
    deployment.records().secrets.insert(name, Secret { secret, expires });
    Ok(Json(json!({})))
}

async fn remove(State(deployment): State<Shared>, Path(name): Path<String>) -> Json<Value> {
    deployment.records().secrets.remove(&name);
    Json(json!({}))
}
