//! The destination of a request, determined by its request target.

use crate::escaped::Escaped;
use std::borrow::Cow;

/// The destination of a request with a certain path and query.
///
/// ```
/// use taskcluster_proxy_core::proxy::Destination;
///
/// let destination = Destination::of("/queue/v1/task/a%2Fb/../x?")?;
/// assert_eq!(
///     destination.url("https://tc.example.com").as_deref(),
///     Some("https://tc.example.com/api/queue/v1/task/a%2Fb/../x?"),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// `/bewit`: sign a URL.
    Bewit,
    /// `/credentials`: replace the credentials.
    Credentials,
    /// A service under the root URL.
    Service {
        /// The prefix of `resource` under the root URL: `/api`, or nothing if `resource` has it already.
        api: &'static str,
        /// The path and query, byte for byte.
        resource: &'a str,
    },
    /// A host, over https.
    Host {
        /// The host name in lower case.
        host: Cow<'a, str>,
        /// The path and query, byte for byte; a missing path is `/`.
        resource: Cow<'a, str>,
    },
}

/// The form in which a request names its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The service form, `/api/<service>/<version>/<path>` with or without `/api`: a Taskcluster
    /// service, whose APIs are designed to be idempotent.
    Service,
    /// The hostname form, `/<host>/<path>`: any host, about which nothing is known.
    Host,
}

/// Why a request target has no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// `/api` with fewer than three segments.
    #[error("invalid /api path: expected /api/<service>/<version>/<path>, found \"{}\"", Escaped(.0))]
    Api(String),
    /// A service name, but fewer than three segments.
    #[error(
        "expected /<service>/<version>/<path> or /<host.name>/<path>, found \"{}\": a service needs \
         a version and a path, and a host name has a dot", Escaped(.0))]
    Service(String),
    /// Two slashes at the start: the client has joined a proxy URL that ends with a slash and a path that
    /// begins with one.
    #[error(
        "expected a path that begins with one slash, found two slashes in \"{}\": does the proxy's URL \
         (TASKCLUSTER_PROXY_URL) end with a slash? Leave that one out", Escaped(.0))]
    DoubleSlash(String),
    /// The first segment is neither a service nor a host.
    #[error(
        "\"{}\" is not the name of a service or host: expected /api/<service>/<version>/<path>, \
         /<service>/<version>/<path> or /<host.name>/<path>", Escaped(.0))]
    Segment(String),
    /// The request target is in asterisk or authority form, or longer than a URI can be.
    #[error("expected a request target that starts with /, found \"{}\"", Escaped(.0))]
    Target(String),
}

impl RouteError {
    /// The `code` that clients of Taskcluster's services would see.
    pub const CODE: &'static str = "ResourceNotFound";
}

impl<'a> Destination<'a> {
    /// The destination of a request target in origin form or absolute form
    /// (`http://taskcluster/api/...`). A fragment is ignored.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of), or the target has spaces or control characters.
    pub fn of_target(target: &'a str) -> Result<Self, RouteError> {
        let target = target.split_once('#').map_or(target, |(before, _fragment)| before);
        let absolute = after_scheme(target);
        if absolute.is_some_and(|rest| rest.starts_with('/'))
            || target.bytes().any(|b| b == b' ' || b.is_ascii_control())
        {
            return Err(RouteError::Target(shortened(target)));
        }
        let origin_form = absolute.map_or(target, |rest| {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
        });
        Self::of(origin_form)
    }

    /// The destination of `resource`, the path and query of a request.
    ///
    /// # Errors
    ///
    /// There are too few segments for a service, or the first segment is neither a service nor a host.
    pub fn of(resource: &'a str) -> Result<Self, RouteError> {
        let path = resource.split_once('?').map_or(resource, |(path, _query)| path);
        let segments =
            path.strip_prefix('/').ok_or_else(|| RouteError::Target(shortened(resource)))?;
        let segment = segments.split_once('/').map_or(segments, |(segment, _)| segment);
        match segment {
            "bewit" => Ok(Self::Bewit),
            "credentials" => Ok(Self::Credentials),
            "api" => match slashes(segments) {
                0..=2 => Err(RouteError::Api(shortened(path))),
                _ => Ok(Self::Service { api: "", resource }),
            },
            "" if segments.starts_with('/') => Err(RouteError::DoubleSlash(shortened(path))),
            _ if !is_host_name(segment) => Err(RouteError::Segment(shortened(segment))),
            _ if segment.contains('.') => Ok(Self::host(segment, resource)),
            _ => match slashes(segments) {
                0..=1 => Err(RouteError::Service(shortened(path))),
                _ => Ok(Self::Service { api: "/api", resource }),
            },
        }
    }

    fn host(segment: &'a str, resource: &'a str) -> Self {
        let host = if segment.bytes().any(|b| b.is_ascii_uppercase()) {
            segment.to_ascii_lowercase().into()
        } else {
            segment.into()
        };
        let rest = resource.get(1 + segment.len()..).unwrap_or_default();
        let resource = if rest.starts_with('/') { rest.into() } else { format!("/{rest}").into() };
        Self::Host { host, resource }
    }

    /// The upstream URL; services are under `root_url`, which has no trailing slash. Returns `None` for
    /// the proxy's own endpoints.
    pub fn url(&self, root_url: &str) -> Option<String> {
        match self {
            Self::Bewit | Self::Credentials => None,
            Self::Service { api, resource } => Some(format!("{root_url}{api}{resource}")),
            Self::Host { host, resource } => Some(format!("https://{host}{resource}")),
        }
    }
}

/// The part after `http://` of a request target in absolute form.
fn after_scheme(target: &str) -> Option<&str> {
    let (_, rest) = target.split_once(':').filter(|_| !target.starts_with('/'))?;
    rest.strip_prefix("//")
}

/// The number of slashes, which is one less than the number of segments.
fn slashes(path: &str) -> usize {
    path.bytes().filter(|b| *b == b'/').count()
}

/// Whether `segment` consists of labels of letters, digits and inner hyphens, with dots between them (RFC
/// 1123 section 2.1).
pub(super) fn is_host_name(segment: &str) -> bool {
    segment.len() <= 253
        && segment.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Limits a text that an error message repeats to 200 bytes.
pub(super) fn shortened(text: &str) -> String {
    match text.get(..text.floor_char_boundary(200)) {
        Some(start) if start.len() < text.len() => format!("{start}.."),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(target: &str) -> Option<String> {
        Destination::of_target(target).unwrap().url("http://tc:81/deep")
    }

    #[test]
    fn own_endpoints_go_by_the_whole_first_segment() {
        for target in ["/bewit", "/bewit/", "/bewit?x", "/bewit/?x", "http://taskcluster/bewit"] {
            assert_eq!(Destination::of_target(target), Ok(Destination::Bewit), "{target}");
        }
        assert_eq!(Destination::of_target("/credentials?x"), Ok(Destination::Credentials));
        let longer = url("/credentials2/v1/x");
        assert_eq!(longer.as_deref(), Some("http://tc:81/deep/api/credentials2/v1/x"));
    }

    #[test]
    fn path_and_query_stay_as_they_are() {
        for (target, expected) in [
            ("/api/queue/v1/x?", "http://tc:81/deep/api/queue/v1/x?"),
            ("/queue/v1/\"<é>\"?{}", "http://tc:81/deep/api/queue/v1/\"<é>\"?{}"),
            ("/a.Example.com?x=1", "https://a.example.com/?x=1"),
            ("/a.example.com/%2f/..#f", "https://a.example.com/%2f/.."),
        ] {
            assert_eq!(url(target).as_deref(), Some(expected));
        }
    }

    #[test]
    fn errors_name_what_was_found() {
        for (target, expected) in [
            ("*", "found \"*\""),
            ("http:///x", "found \"http:///x\""),
            ("/a b/v1/x", "found \"/a b/v1/x\""),
            ("/x@/y", "\"x@\" is not the name"),
            ("/a..b/y", "\"a..b\" is not the name"),
            ("/a.b./y", "\"a.b.\" is not the name"),
            ("/a.b:80/y", "\"a.b:80\" is not the name"),
            ("/é.example/x", "\"é.example\" is not the name"),
            ("/queue/v1", "found \"/queue/v1\""),
            ("/api/queue/v1", "invalid /api path"),
            ("http://taskcluster", "\"\" is not the name"),
        ] {
            let error = Destination::of_target(target).unwrap_err().to_string();
            assert!(error.contains(expected), "{target}: {error}");
        }
        let long = Destination::of_target(&format!("/{}", "x".repeat(5000))).unwrap_err();
        assert!(long.to_string().len() < 500, "{long}");
    }
}
