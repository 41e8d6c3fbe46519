//! The table of endpoints, and the way from a path to one of them.

use super::call::Call;
use super::failure::{Code, Failure};
use super::payload::Object;
use super::response::HandlerResult;
use super::state::State;
use super::{artifacts, auth, claims, index, object, queue, secrets, storage};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::json;
use taskcluster_proxy_core::credentials::{Scope, ScopeExpression};

/// An API method.
pub(super) struct Endpoint {
    /// GET stands for HEAD too.
    pub(super) method: &'static str,
    /// What follows `/api/<service>/v1/`. `<x>` is one segment, `<x...>` the one or more that are
    /// left: artifacts' and secrets' names come with their slashes encoded or not.
    pub(super) path: &'static str,
    /// Its name in the service's reference.
    pub(super) name: &'static str,
    /// The scopes that the path alone tells, checked before the body is read. Those that need more
    /// are up to the handler.
    pub(super) scopes: &'static [&'static str],
    /// What responds to it.
    pub(super) handler: Handler,
}

/// What responds to a request, by what it makes of the body.
pub(super) enum Handler {
    /// Nothing.
    Plain(fn(&Call<'_>, &mut State) -> HandlerResult),
    /// A JSON object, with Content-Type application/json.
    Json(fn(&Call<'_>, &Object, &mut State) -> HandlerResult),
    /// The same, holding a secret: errors do not repeat it.
    SecretJson(fn(&Call<'_>, &Object, &mut State) -> HandlerResult),
    /// Bytes to keep.
    Content(fn(&Call<'_>, Bytes, &mut State) -> HandlerResult),
    /// Any amount of bytes to throw away: their number.
    Sink(fn(u64) -> HandlerResult),
}

/// What a path says beyond which endpoint it is, decoded.
pub(super) struct Params(Vec<(&'static str, String)>);

/// The endpoint for a method and a raw path.
pub(super) fn find(method: &str, path: &str) -> Result<(&'static Endpoint, Params), Failure> {
    let decoded = decode(path)?;
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (tables, rest) = match segments.as_slice() {
        ["api", service, "v1", rest @ ..] => (tables_of(service), rest),
        ["storage", rest @ ..] => (STORAGE, rest),
        _ => (&[][..], &[][..]),
    };
    let method = if method == "HEAD" { "GET" } else { method };
    tables
        .iter()
        .copied()
        .flatten()
        .filter(|endpoint| endpoint.method == method)
        .find_map(|endpoint| Some((endpoint, match_path(endpoint.path, rest)?)))
        .ok_or_else(|| {
            // A path in the storage is as good as a password.
            let shown = if segments.first() == Some(&"storage") { "/storage/.." } else { path };
            Failure::not_found(format!("the sandbox has no {method} {shown}"))
        })
}

type Tables = &'static [&'static [Endpoint]];

const STORAGE: Tables = &[storage::ENDPOINTS];

fn tables_of(service: &str) -> Tables {
    match service {
        "auth" => &[PING, auth::ENDPOINTS],
        "queue" => &[PING, queue::ENDPOINTS, claims::ENDPOINTS, artifacts::ENDPOINTS],
        "secrets" => &[PING, secrets::ENDPOINTS],
        "index" => &[PING, index::ENDPOINTS],
        "object" => &[PING, object::ENDPOINTS],
        _ => &[],
    }
}

/// The one param that is worth hiding: a token of the storage.
const SECRET_PARAM: &str = "token";

const PING: &[Endpoint] = &[Endpoint {
    method: "GET",
    path: "ping",
    name: "ping",
    scopes: &[],
    handler: Handler::Plain(ping),
}];

fn ping(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let uptime = call.now.distance(state.started).as_secs();
    super::response::json(&json!({ "alive": true, "uptime": uptime }))
}

fn decode(path: &str) -> Result<Vec<String>, Failure> {
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    segments
        .map(|segment| Ok(percent_decode_str(segment).decode_utf8()?.into_owned()))
        .collect::<Result<_, std::str::Utf8Error>>()
        .map_err(|error| {
            let reason = format!("expected a path of percent-encoded UTF-8: {error}");
            Failure::new(Code::InvalidRequestArguments, reason)
        })
}

fn match_path(template: &'static str, mut segments: &[&str]) -> Option<Params> {
    let mut params = Vec::new();
    for part in template.split('/') {
        let (first, rest) = segments.split_first()?;
        match part.strip_prefix('<').and_then(|part| part.strip_suffix('>')) {
            None if part != *first => return None,
            None => segments = rest,
            Some(name) => match name.strip_suffix("...") {
                None => {
                    params.push((name, (*first).to_owned()));
                    segments = rest;
                }
                Some(name) => {
                    params.push((name, segments.join("/")));
                    segments = &[];
                }
            },
        }
    }
    segments.is_empty().then_some(Params(params))
}

impl Params {
    /// A param of the endpoint's path; empty for one that the path does not name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// A param that only some paths to the same handler name.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// What `templates` require together.
    pub(super) fn all_of(&self, templates: &[&str]) -> Result<ScopeExpression, Failure> {
        let scopes = self.scopes(templates)?.into_iter().map(ScopeExpression::Scope);
        Ok(match <[ScopeExpression; 1]>::try_from(scopes.collect::<Vec<_>>()) {
            Ok([only]) => only,
            Err(scopes) => ScopeExpression::AllOf(scopes),
        })
    }

    /// The scopes that `templates` stand for.
    pub(super) fn scopes(&self, templates: &[&str]) -> Result<Vec<Scope>, Failure> {
        templates
            .iter()
            .map(|template| {
                let mut scope = String::new();
                for (index, part) in template.split(['<', '>']).enumerate() {
                    // Text and names take turns.
                    scope.push_str(if index % 2 == 0 { part } else { self.get(part) });
                }
                Scope::new(scope)
                    .map_err(|error| Failure::new(Code::InvalidRequestArguments, error.to_string()))
            })
            .collect()
    }

    /// What errors may repeat of them.
    pub(super) fn to_json(&self) -> Object {
        let shown = self.0.iter().filter(|(name, _)| *name != SECRET_PARAM);
        shown.map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_an_endpoint() {
        for (method, path, name, param) in [
            ("HEAD", "/api/queue/v1/ping", "ping", ""),
            ("GET", "/api/queue/v1/task/t/runs/0/artifacts", "listArtifacts", ""),
            ("GET", "/api/queue/v1/task/t/runs/0/artifacts/a%2Fb", "getArtifact", "a/b"),
            ("GET", "/api/queue/v1/task/t/runs/0/artifacts/a/b", "getArtifact", "a/b"),
            ("GET", "/api/queue/v1/task/t/artifacts/a%252Fb/", "getLatestArtifact", "a%2Fb/"),
            ("PUT", "/api/secrets/v1/secret/%C3%A9", "set", "é"),
        ] {
            let (endpoint, params) = find(method, path).unwrap();
            assert_eq!((endpoint.name, params.get("name")), (name, param), "{method} {path}");
        }
    }

    #[test]
    fn others_lead_nowhere() {
        for (method, path, code) in [
            ("GET", "/", Code::ResourceNotFound),
            ("GET", "*", Code::ResourceNotFound),
            ("GET", "/api/queue/v2/ping", Code::ResourceNotFound),
            ("GET", "/api/hooks/v1/ping", Code::ResourceNotFound),
            ("GET", "/api/queue/v1//ping", Code::ResourceNotFound),
            ("GET", "/api/queue/v1/ping/x", Code::ResourceNotFound),
            ("GET", "/api/secrets/v1/secret", Code::ResourceNotFound),
            ("PATCH", "/api/secrets/v1/secret/x", Code::ResourceNotFound),
            ("GET", "/api/secrets/v1/secret/%FF", Code::InvalidRequestArguments),
        ] {
            let failure = find(method, path).err().unwrap().to_string();
            assert!(failure.starts_with(&format!("{code:?}: ")), "{method} {path}: {failure}");
        }
    }

    #[test]
    fn a_value_that_looks_like_a_param_is_a_value() {
        let params = Params(vec![("a", "<b>".to_owned()), ("b", "x".to_owned())]);
        assert_eq!(params.scopes(&["s:<a>/<b>"]).unwrap()[0].as_str(), "s:<b>/x");
    }
}
