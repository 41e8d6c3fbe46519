//! `routes.json`: a request target; where it goes under the root URL `http://tc.example.com`, or the
//! status that it gets.

use crate::Vector;
use http::Uri;
use libtest_mimic::Failed;
use serde::Deserialize;
use taskcluster_proxy_core::proxy::{Destination, ProxyError, RootUrl, Route, route};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteVector {
    request_target: String,
    upstream: Option<String>,
    status: Option<u16>,
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

impl Vector for RouteVector {
    fn description(&self) -> &str {
        &self.request_target
    }

    fn check(&self) -> Result<(), Failed> {
        let destination = Destination::of_target(&self.request_target)
            .ok()
            .and_then(|destination| destination.url("http://tc.example.com"));
        assert_eq!(destination, self.upstream, "destination");

        let uri: Uri = self.request_target.parse()?;
        let routed = route(&uri, &RootUrl::parse("http://tc.example.com")?);
        match (routed, &self.upstream, self.status) {
            (Ok(Route::Upstream(target)), Some(upstream), None) => {
                assert_eq!(&target.uri.to_string(), upstream, "upstream");
            }
            (Err(error), None, Some(status)) => {
                assert_eq!(ProxyError::from(error).status(), status, "status");
            }
            (routed, ..) => return Err(format!("went elsewhere: {routed:?}").into()),
        }
        Ok(())
    }
}
