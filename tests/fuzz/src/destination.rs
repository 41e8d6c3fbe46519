//! Fuzz target: request targets.

use taskcluster_proxy_core::proxy::{Destination, RootUrl};

/// A request is forwarded to the upstream that its target names, and its path byte for byte.
pub fn destination(data: &[u8]) {
    let Ok(target) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(root_url) = RootUrl::parse(target) {
        let again =
            RootUrl::parse(root_url.as_str()).expect("a parsed root URL can be parsed again");
        assert_eq!(again.as_str(), root_url.as_str());
    }
    let without_fragment = target.split('#').next().unwrap_or_default();
    match Destination::of_target(target) {
        Ok(Destination::Service { api, resource }) => {
            // /api/<service>/<version>/<path>
            let path = [api, resource].concat();
            let path = path.split_once('?').map_or(path.as_str(), |(path, _query)| path);
            assert!(path.starts_with("/api/") && path.matches('/').count() >= 4, "{path:?}");
            assert!(without_fragment.ends_with(resource), "{target:?} becomes {resource:?}");
        }
        Ok(Destination::Host { host, resource }) => {
            let labels: Vec<&str> = host.split('.').collect();
            let valid = |label: &&str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            assert!(labels.len() > 1 && labels.iter().all(valid), "{target:?} goes to {host:?}");
            let rest = resource.strip_prefix('/').expect("a path begins with a slash");
            assert!(without_fragment.ends_with(rest), "{target:?} becomes {resource:?}");
        }
        Ok(Destination::Bewit | Destination::Credentials) | Err(_) => {}
    }
}
