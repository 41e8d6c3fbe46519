//! The router of all services, and the check of an API method's scopes before its handler.

use super::body::{MAX_BODY, drain_unread};
use super::caller::SignedRequest;
use super::deployment::{Deployment, Shared, now};
use super::failure::{Failure, RequestInfo, describe_failures};
use super::{artifacts, auth, claims, index, object, queue, secrets, storage};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, OriginalUri, RawPathParams, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::ScopeExpression;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

/// All services of `deployment`, and its storage.
pub(super) fn router(deployment: Shared) -> Router {
    let queue = queue::routes(&deployment)
        .merge(claims::routes(&deployment))
        .merge(artifacts::routes(&deployment));
    let services = [
        ("auth", auth::routes(&deployment)),
        ("queue", queue),
        ("secrets", secrets::routes(&deployment)),
        ("index", index::routes(&deployment)),
        ("object", object::routes(&deployment)),
    ];
    let mut router = Router::new().nest("/storage", storage::routes(&deployment));
    for (service, routes) in services {
        let routes = routes.route("/ping", deployment.method("ping", &[], get(ping)));
        router = router.nest(&format!("/api/{service}/v1"), routes);
    }
    router
        .fallback(no_such_method)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(drain_unread))
        .layer(from_fn(describe_failures))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESSED).and(is_json)))
        .with_state(deployment)
}

/// The parameters of a path by name, decoded.
pub(super) type Params = BTreeMap<String, String>;

/// An API method, as in the reference of its service.
#[derive(Clone, Copy)]
struct ApiMethod {
    name: &'static str,
    /// The required scopes that depend only on the path, with its parameters as `{name}`.
    scopes: &'static [&'static str],
}

impl Deployment {
    /// An API method with its name in the service's reference. Its `scopes`, in which `{name}` stands
    /// for a parameter of the path, are checked before the body is read. The handler checks scopes that
    /// depend on more than the path.
    pub(super) fn method(
        self: &Arc<Self>,
        name: &'static str,
        scopes: &'static [&'static str],
        handler: MethodRouter<Shared>,
    ) -> MethodRouter<Shared> {
        let state = (Arc::clone(self), ApiMethod { name, scopes });
        handler.route_layer(from_fn_with_state(state, authorize))
    }
}

async fn authorize(
    State((deployment, method)): State<(Shared, ApiMethod)>,
    Extension(info): Extension<Arc<RequestInfo>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    signed: SignedRequest,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let params = params?.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let required = required(method.scopes, &params);
    info.set_method(method.name, params);
    if !method.scopes.is_empty() {
        signed.caller(&deployment)?.require(required)?;
    }
    Ok(next.run(request).await)
}

/// The expression that requires the scopes of all `templates`, with the parameters inserted.
fn required(templates: &[&str], params: &Params) -> ScopeExpression {
    let scopes = templates.iter().map(|template| {
        let mut scope = String::new();
        for (index, part) in template.split(['{', '}']).enumerate() {
            // Parts with an odd index are names of parameters.
            let value = if index % 2 == 0 { Some(part) } else { params.get(part).map(|it| &**it) };
            scope.push_str(value.unwrap_or_default());
        }
        ScopeExpression::Scope(scope)
    });
    match <[ScopeExpression; 1]>::try_from(scopes.collect::<Vec<_>>()) {
        Ok([only]) => only,
        Err(scopes) => ScopeExpression::AllOf(scopes),
    }
}

async fn ping(State(deployment): State<Shared>) -> Json<Value> {
    let uptime = now().distance(deployment.records().started).as_secs();
    Json(json!({ "alive": true, "uptime": uptime }))
}

async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Failure {
    Failure::NotFound(format!("the sandbox has no {method} {}", shown(uri.path())))
}

/// `path` for an error message, unless it could be a path of the storage after decoding and resolving dot
/// segments: such a path contains a secret token.
fn shown(path: &str) -> &str {
    let is_plain = path.starts_with("/api/")
        && !["%", "/.", "//", "storage"].iter().any(|part| path.contains(part));
    if is_plain { path } else { "for this path, which is not shown because it may hold a secret" }
}

fn is_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/json")
}

/// As of which length responses are compressed, as by the services, in bytes.
const COMPRESSED: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_parameter_is_a_value() {
        let params = [("a", "{b}"), ("b", "x")].map(|(name, value)| (name.into(), value.into()));
        let required = required(&["s:{a}/{b}"], &params.into());
        assert_eq!(required, ScopeExpression::Scope("s:{b}/x".to_owned()));
    }

    #[test]
    fn a_path_that_may_lead_to_the_storage_is_not_shown() {
        assert_eq!(shown("/api/hooks/v1/hooks"), "/api/hooks/v1/hooks");
        for path in [
            "/storage/objects/t",
            "/%73torage/objects/t",
            "/%2573torage/objects/t",
            "//storage/objects/t",
            "/api/../storage/objects/t",
            "/api/%2e%2e/%73torage/objects/t",
            "/api/storage/objects/t",
            "/x/../%73torage/t",
            "*",
        ] {
            assert!(!shown(path).contains(path), "{path}");
        }
    }
}
