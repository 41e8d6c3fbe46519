//! The addresses of hosts, those that requests must not go to left out.

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tower_service::Service;

/// Looks names up. What it gives is what is connected to: a name that leads elsewhere the next time
/// (DNS rebinding) gains nothing.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    system: GaiResolver,
    /// `None`: wherever a name leads.
    policy: Option<Arc<HostPolicy>>,
}

impl Resolver {
    /// For upstreams.
    pub(super) fn guarded(policy: Arc<HostPolicy>) -> Self {
        Self { system: GaiResolver::new(), policy: Some(policy) }
    }

    /// For proxies on the way, which the environment names and no request.
    pub(super) fn unguarded() -> Self {
        Self { system: GaiResolver::new(), policy: None }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let found = self.system.call(name);
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = found.await?;
            let admitted = match policy {
                None => found.collect(),
                Some(policy) => admitted(&policy, &host, found)?,
            };
            Ok(admitted.into_iter())
        })
    }
}

/// # Errors
///
/// There are some, and none that requests may go to.
fn admitted(
    policy: &HostPolicy,
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, HostError> {
    let mut refused = None;
    let mut admitted = Vec::new();
    for address in found {
        match policy.allows_address(host, address.ip()) {
            Ok(()) => admitted.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if admitted.is_empty() => Err(error),
        _ => Ok(admitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(
        policy: HostPolicy,
        host: &str,
    ) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let mut resolver = Resolver::guarded(Arc::new(policy));
        resolver.call(host.parse().unwrap()).await.map(Iterator::collect)
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine() {
        let error = resolved(HostPolicy::default(), "localhost").await.unwrap_err();
        assert!(error.to_string().contains("is at a loopback address"), "{error}");
        assert!(
            !resolved(HostPolicy::new(vec![], "localhost"), "localhost").await.unwrap().is_empty()
        );
        let mut unguarded = Resolver::unguarded();
        assert!(unguarded.call("localhost".parse().unwrap()).await.unwrap().next().is_some());
    }

    #[test]
    fn what_is_left_is_used() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = addresses(&["127.0.0.1:0", "192.0.2.1:0", "[fe80::1]:0"]);
        let policy = HostPolicy::default();
        let admitted = |found: Vec<SocketAddr>| admitted(&policy, "a.example", found.into_iter());
        assert_eq!(admitted(found), Ok(addresses(&["192.0.2.1:0"])));
        assert!(admitted(addresses(&["127.0.0.1:0"])).is_err());
        assert_eq!(admitted(vec![]), Ok(vec![]));
    }
}
