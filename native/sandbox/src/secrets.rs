//! The secrets service.

use super::call::Call;
use super::endpoint::{Endpoint, Handler};
use super::failure::Failure;
use super::page::page;
use super::payload::{self, Object};
use super::response::{HandlerResult, json};
use super::state::State;
use serde_json::{Value, json};
use taskcluster_proxy_core::Timestamp;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "secrets",
        name: "list",
        scopes: &["secrets:list-secrets"],
        handler: Handler::Plain(list),
    },
    Endpoint {
        method: "GET",
        path: "secret/<name...>",
        name: "get",
        scopes: &["secrets:get:<name>"],
        handler: Handler::Plain(get),
    },
    Endpoint {
        method: "PUT",
        path: "secret/<name...>",
        name: "set",
        scopes: &["secrets:set:<name>"],
        handler: Handler::SecretJson(put),
    },
    Endpoint {
        method: "DELETE",
        path: "secret/<name...>",
        name: "remove",
        scopes: &["secrets:set:<name>"],
        handler: Handler::Plain(remove),
    },
];

pub(super) struct Secret {
    pub(super) secret: Value,
    pub(super) expires: Timestamp,
}

fn list(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let current = state.secrets.iter().filter(|(_, secret)| secret.expires > call.now);
    let names: Vec<&String> = current.map(|(name, _)| name).collect();
    let names = names.into_iter().map(|name| Value::from(name.as_str()));
    json(&page(call, "secrets", names)?.into())
}

fn get(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let secret = state.secrets.get(call.param("name"));
    let Some(Secret { secret, expires }) = secret.filter(|secret| secret.expires > call.now) else {
        return Err(Failure::not_found("there is no such secret, or it has expired"));
    };
    json(&json!({ "secret": secret, "expires": *expires.to_rfc3339() }))
}

fn put(call: &Call<'_>, payload: &Object, state: &mut State) -> HandlerResult {
    let secret = payload::object(payload, "secret")?.clone().into();
    let expires = payload::datetime(payload, "expires")?;
    state.secrets.insert(call.param("name").to_owned(), Secret { secret, expires });
    json(&json!({}))
}

fn remove(call: &Call<'_>, state: &mut State) -> HandlerResult {
    state.secrets.remove(call.param("name"));
    json(&json!({}))
}
