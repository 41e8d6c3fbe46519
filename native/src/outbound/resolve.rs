//! Resolves host names, without the addresses that the access policy denies.

use super::connect_error::ConnectError;
use super::error::UpstreamError;
use std::net::SocketAddr;
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tokio::net::lookup_host;
use url::Host;

/// Resolves `host`, and leaves out addresses that `policy` denies. Callers connect to the returned
/// addresses, so that a name that resolves to another address the next time (DNS rebinding) cannot
/// circumvent the policy.
///
/// # Errors
///
/// The name cannot be resolved, or `policy` denies all of its addresses.
pub(super) async fn resolve(
    host: &Host,
    port: u16,
    policy: Option<&HostPolicy>,
) -> Result<Vec<SocketAddr>, UpstreamError> {
    let found = match host {
        Host::Domain(name) => lookup_host((name.as_str(), port))
            .await
            .map_err(|reason| ConnectError::Resolve { host: name.clone(), reason })?
            .collect(),
        Host::Ipv4(ip) => vec![(*ip, port).into()],
        Host::Ipv6(ip) => vec![(*ip, port).into()],
    };
    match policy {
        None => Ok(found),
        Some(policy) => allowed(policy, host, found).map_err(UpstreamError::Host),
    }
}

/// The addresses that `policy` allows.
///
/// # Errors
///
/// There are addresses, and `policy` denies all of them.
fn allowed(
    policy: &HostPolicy,
    host: &Host,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, HostError> {
    let mut denied = None;
    let mut allowed = Vec::new();
    for address in found {
        match policy.allows_address(host, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(error) => denied = Some(error),
        }
    }
    match denied {
        Some(error) if allowed.is_empty() => Err(error),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_is_denied_unless_it_is_the_root_urls() {
        let localhost = Host::parse("localhost").unwrap();
        let policy = HostPolicy::default();
        let error = resolve(&localhost, 80, Some(&policy)).await.unwrap_err();
        assert!(error.to_string().contains("is at a loopback address"), "{error}");
        let root = HostPolicy::new(vec![], localhost.clone());
        for policy in [Some(&root), None] {
            assert!(!resolve(&localhost, 80, policy).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_named_in_the_error() {
        let host = Host::parse("nowhere.invalid").unwrap();
        let error = resolve(&host, 80, None).await.unwrap_err().to_string();
        assert!(error.contains("(nowhere.invalid): check the host name"), "{error}");
    }

    #[test]
    fn denied_addresses_are_left_out() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = addresses(&["127.0.0.1:0", "192.0.2.1:0", "[fe80::1]:0"]);
        let policy = HostPolicy::default();
        let host = Host::parse("a.example").unwrap();
        let allowed = |found| allowed(&policy, &host, found);
        assert_eq!(allowed(found), Ok(addresses(&["192.0.2.1:0"])));
        assert!(allowed(addresses(&["127.0.0.1:0"])).is_err());
        assert_eq!(allowed(vec![]), Ok(vec![]));
    }
}
