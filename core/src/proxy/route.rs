use super::destination::shortened;
use super::{Destination, Form, RootUrl, RouteError};
use http::Uri;
use http::uri::{Authority, Scheme};

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
    let resource =
        uri.path_and_query().ok_or_else(|| RouteError::Target(shortened(&uri.to_string())))?;
    let (scheme, authority, joined, form) = match Destination::of(resource.as_str())? {
        Destination::Bewit => return Ok(Route::Bewit),
        Destination::Credentials => return Ok(Route::Credentials),
        Destination::Service { api, .. } => {
            let joined = match (root_url.prefix(), api) {
                ("", "") => Ok(resource.clone()),
                (prefix, api) => format!("{prefix}{api}{resource}").parse(),
            };
            (root_url.scheme(), Ok(root_url.authority().clone()), joined, Form::Service)
        }
        Destination::Host { host, resource } => {
            (&Scheme::HTTPS, host.parse::<Authority>(), resource.parse(), Form::Host)
        }
    };
    let unusable = || RouteError::Target(shortened(resource.as_str()));
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority.map_err(|_| unusable())?);
    parts.path_and_query = Some(joined.map_err(|_| unusable())?);
    let uri = Uri::from_parts(parts).map_err(|_| unusable())?;
    Ok(Route::Upstream(Target { uri, form }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    proptest! {
        /// The two ways of joining the parts agree.
        #[test]
        fn goes_where_the_destination_says(
            target in "/(api/|bewit|a\\.Example/?)?[a-z./?%2F;@-]{0,20}",
            root_url in prop::sample::select(vec!["http://tc", "https://tc:81/deep/er"]),
        ) {
            let root_url = RootUrl::parse(root_url)?;
            let routed = route(&target.parse()?, &root_url).map(|route| match route {
                Route::Bewit | Route::Credentials => None,
                Route::Upstream(target) => Some((target.uri.to_string(), target.form)),
            });
            let destination = Destination::of(&target).map(|destination| {
                destination.url(root_url.as_str()).zip(destination.form())
            });
            prop_assert_eq!(routed, destination);
        }
    }
}
