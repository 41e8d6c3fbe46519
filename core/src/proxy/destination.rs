//! Where a request goes, by its request target.

use crate::escaped::Escaped;
use std::borrow::Cow;

/// Where a path and query lead, on plain text.
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
        /// What goes between the root URL and `resource`: `/api`, or nothing if it is there already.
        api: &'static str,
        /// Path and query, byte for byte.
        resource: &'a str,
    },
    /// A host by its name, over https.
    Host {
        /// In lower case.
        host: Cow<'a, str>,
        /// Path and query, byte for byte; a missing path is `/`.
        resource: Cow<'a, str>,
    },
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

/// Why a request target has no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// `/api` with fewer than three segments.
    #[error("invalid /api path: expected /api/<service>/<version>/<path>, found \"{}\"", Escaped(.0))]
    Api(String),
    /// A service with fewer than three segments.
    #[error(
        "expected /<service>/<version>/<path> or /<host.name>/<path>, found \"{}\": a service needs \
         a version and a path, and a host name has a dot", Escaped(.0))]
    Service(String),
    /// Two slashes at the start: a proxy URL that ends in one, before a path that begins with one.
    #[error(
        "expected a path that begins with one slash, found two slashes in \"{}\": does the proxy's URL \
         (TASKCLUSTER_PROXY_URL) end with a slash? Leave that one out", Escaped(.0))]
    DoubleSlash(String),
    /// The first segment is neither a service nor a host.
    #[error(
        "\"{}\" is not the name of a service or host: expected /api/<service>/<version>/<path>, \
         /<service>/<version>/<path> or /<host.name>/<path>", Escaped(.0))]
    Segment(String),
    /// Asterisk or authority form, or longer than a URI can be.
    #[error("expected a request target that starts with /, found \"{}\"", Escaped(.0))]
    Target(String),
}

impl RouteError {
    /// The `code` that clients of Taskcluster's services would see.
    pub const CODE: &'static str = "ResourceNotFound";
}

impl<'a> Destination<'a> {
    /// Finds out where a request target leads, one in absolute form (`http://taskcluster/api/..`) as
    /// well. A fragment is dropped.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of), or the target has blanks or control characters.
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

    /// Finds out where `resource`, the path and query of a request, leads.
    ///
    /// # Errors
    ///
    /// Too few segments for a service, or a first segment that names nothing.
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

    /// The URL there, with services under `root_url`, which ends in no slash. `None`: it is for the
    /// proxy itself.
    pub fn url(&self, root_url: &str) -> Option<String> {
        match self {
            Self::Bewit | Self::Credentials => None,
            Self::Service { api, resource } => Some(format!("{root_url}{api}{resource}")),
            Self::Host { host, resource } => Some(format!("https://{host}{resource}")),
        }
    }
}

/// What follows `http://` in a request target in absolute form.
fn after_scheme(target: &str) -> Option<&str> {
    let (_, rest) = target.split_once(':').filter(|_| !target.starts_with('/'))?;
    rest.strip_prefix("//")
}

/// One less than there are segments.
fn slashes(path: &str) -> usize {
    path.bytes().filter(|b| *b == b'/').count()
}

/// Labels of letters, digits and inner hyphens, with dots between them (RFC 1123 section 2.1).
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

/// As much as an error has to repeat for its reader to know what is meant.
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
