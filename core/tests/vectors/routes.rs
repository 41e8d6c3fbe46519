//! `routes.json`: a request target; where it goes under the root URL `http://tc.example.com`, or the
//! status that it gets.

use crate::Vector;
use libtest_mimic::Failed;
use serde::Deserialize;
use taskcluster_proxy_core::proxy::{Destination, ProxyError};

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
            .map(|destination| destination.url("http://tc.example.com"));
        match (destination, &self.upstream, self.status) {
            (Ok(Some(url)), Some(upstream), None) => assert_eq!(&url, upstream, "upstream"),
            (Err(error), None, Some(status)) => {
                assert_eq!(ProxyError::from(error).status().as_u16(), status, "status");
            }
            (destination, ..) => return Err(format!("went elsewhere: {destination:?}").into()),
        }
        Ok(())
    }
}
