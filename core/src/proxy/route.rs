use super::RootUrl;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/bewit`: sign a URL.
    Bewit,
    /// `/credentials`: replace the credentials.
    Credentials,
    /// Anything else: sign the request and send it on.
    Upstream(Target),
}

/// Where a request goes on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute. Path and query are those of the request, byte for byte.
    pub uri: Uri,
    /// How the request named it.
    pub form: Form,
}

/// How a request names its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/api/<service>/<version>/<path>`, or the same without `/api`: a Taskcluster service, whose
    /// APIs are built to be idempotent.
    Service,
    /// `/<host>/<path>`: any host, of which nothing is known.
    Host,
}

/// Why a request goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// `/api` with fewer than three segments.
    #[error("invalid /api path: expected /api/<service>/<version>/<path>, found {0:?}")]
    Api(String),
    /// A service with fewer than three segments.
    #[error(
        "expected /<service>/<version>/<path> or /<host.name>/<path>, found {0:?}: a service needs \
         a version and a path, and a host name has a dot"
    )]
    Service(String),
    /// The first segment is neither a service nor a host.
    #[error(
        "{0:?} is not the name of a service or host: expected /api/<service>/<version>/<path>, \
         /<service>/<version>/<path> or /<host.name>/<path>"
    )]
    Segment(String),
    /// Asterisk or authority form, or longer than a URI can be.
    #[error("expected a request target that starts with /, found {0:?}")]
    Target(String),
}

/// Finds out what a request is for. Targets in absolute form (`http://taskcluster/api/..`) route as
/// those in origin form.
///
/// ```
/// use taskcluster_proxy_core::proxy::{RootUrl, Route, route};
///
/// let root_url = RootUrl::parse("https://tc.example.com")?;
/// let Route::Upstream(target) = route(&"/queue/v1/task/a%2Fb/../x?".parse()?, &root_url)? else {
///     panic!("not for a service");
/// };
/// assert_eq!(target.uri, "https://tc.example.com/api/queue/v1/task/a%2Fb/../x?");
/// assert_eq!(route(&"/bewit".parse()?, &root_url)?, Route::Bewit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Too few segments for a service, or a first segment that names nothing.
pub fn route(uri: &Uri, root_url: &RootUrl) -> Result<Route, RouteError> {
    let unusable = || RouteError::Target(shortened(&uri.to_string()));
    let resource = uri.path_and_query().ok_or_else(unusable)?;
    let path = resource.path().strip_prefix('/').ok_or_else(unusable)?;
    let segment = path.split_once('/').map_or(path, |(segment, _)| segment);
    match segment {
        "bewit" => Ok(Route::Bewit),
        "credentials" => Ok(Route::Credentials),
        "api" => match path.split('/').count() {
            0..=3 => Err(RouteError::Api(shortened(resource.path()))),
            _ => service(root_url, "", resource),
        },
        _ if !is_host_name(segment) => Err(RouteError::Segment(shortened(segment))),
        _ if segment.contains('.') => host(segment, resource),
        _ => match path.split('/').count() {
            0..=2 => Err(RouteError::Service(shortened(resource.path()))),
            _ => service(root_url, "/api", resource),
        },
    }
}

fn service(root_url: &RootUrl, api: &str, resource: &PathAndQuery) -> Result<Route, RouteError> {
    let resource = match (root_url.prefix(), api) {
        ("", "") => resource.clone(),
        (prefix, api) => joined(&format!("{prefix}{api}{resource}"))?,
    };
    upstream(root_url.scheme(), root_url.authority().clone(), resource, Form::Service)
}

/// `/<host>/<path>` goes to `https://<host>/<path>`.
fn host(segment: &str, resource: &PathAndQuery) -> Result<Route, RouteError> {
    let authority = segment
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| RouteError::Segment(shortened(segment)))?;
    let rest = resource.as_str().get(1 + segment.len()..).unwrap_or_default();
    let rest = if rest.starts_with('/') { joined(rest)? } else { joined(&format!("/{rest}"))? };
    upstream(&Scheme::HTTPS, authority, rest, Form::Host)
}

fn joined(resource: &str) -> Result<PathAndQuery, RouteError> {
    resource.parse().map_err(|_| RouteError::Target(shortened(resource)))
}

fn upstream(
    scheme: &Scheme,
    authority: Authority,
    resource: PathAndQuery,
    form: Form,
) -> Result<Route, RouteError> {
    let resource_text = resource.clone();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(resource);
    Uri::from_parts(parts)
        .map(|uri| Route::Upstream(Target { uri, form }))
        .map_err(|_| RouteError::Target(shortened(resource_text.as_str())))
}

/// Labels of letters, digits and inner hyphens, with dots between them (RFC 1123 section 2.1).
fn is_host_name(segment: &str) -> bool {
    segment.len() <= 253
        && segment.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// As much as an error has to repeat for its reader to know what is meant.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(target: &str, root_url: &str) -> Result<Route, RouteError> {
        route(&target.parse().unwrap(), &RootUrl::parse(root_url).unwrap())
    }

    #[test]
    fn own_endpoints_go_by_the_whole_first_segment() {
        for target in ["/bewit", "/bewit/", "/bewit?x", "/bewit/?x", "http://taskcluster/bewit"] {
            assert_eq!(routed(target, "http://tc"), Ok(Route::Bewit), "{target}");
        }
        assert_eq!(routed("/credentials?x", "http://tc"), Ok(Route::Credentials));
        assert!(matches!(routed("/credentials2/v1/x", "http://tc"), Ok(Route::Upstream(_))));
    }

    #[test]
    fn a_root_url_with_a_path_keeps_it() {
        for target in ["/api/queue/v1/x?", "/queue/v1/x?"] {
            let Ok(Route::Upstream(target)) = routed(target, "http://tc:81/deep/er/") else {
                panic!("{target} went astray");
            };
            assert_eq!(target.uri, "http://tc:81/deep/er/api/queue/v1/x?");
        }
    }

    #[test]
    fn a_host_without_a_path_keeps_its_query() {
        let Ok(Route::Upstream(target)) = routed("/a.example.com?x=1", "http://tc") else {
            panic!("went astray");
        };
        assert_eq!(
            (target.uri.to_string(), target.form),
            ("https://a.example.com/?x=1".into(), Form::Host)
        );
    }

    #[test]
    fn errors_name_what_was_found() {
        for (target, expected) in [
            ("*", "found \"*\""),
            ("/x@/y", "\"x@\" is not the name"),
            ("/a..b/y", "\"a..b\" is not the name"),
            ("/a.b./y", "\"a.b.\" is not the name"),
            ("/a.b:80/y", "\"a.b:80\" is not the name"),
            ("/queue/v1", "found \"/queue/v1\""),
            ("/api/queue/v1", "invalid /api path"),
            ("http://taskcluster", "\"\" is not the name"),
        ] {
            let error = routed(target, "http://tc").unwrap_err().to_string();
            assert!(error.contains(expected), "{target}: {error}");
        }
        let long = routed(&format!("/{}", "x".repeat(5000)), "http://tc").unwrap_err().to_string();
        assert!(long.len() < 500, "{long}");
    }
}
