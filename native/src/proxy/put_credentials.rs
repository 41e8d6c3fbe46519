//! `PUT /credentials`: replaces the current credentials.

use super::Proxy;
use super::handle::Rejection;
use super::own_body::{discard, expect_method, read};
use super::response::OwnResponse;
use crate::os::peer::Peer;
use crate::outbound::RequestBody;
use crate::telemetry::metrics::{Source, Update};
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::ProxyError;

/// The maximum size of the request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

impl Proxy {
    /// Replaces the credentials with those in the body. Holds no lease itself, because the update waits
    /// until all leases have ended.
    pub(super) async fn put_credentials(
        &self,
        head: &Parts,
        body: &RequestBody,
        peer: &Peer,
    ) -> Result<(OwnResponse, String), Rejection> {
        expect_method(head, body, "PUT", "/credentials").await?;
        if let Err(error) = self.policy.credentials.admit(peer).await {
            return Err(Rejection { error, close: !discard(body).await });
        }
        let body = read(body, MAX_BODY).await?;
        let refused = |error| {
            self.metrics.update(Source::Put, Update::Refused);
            ProxyError::Credentials(error)
        };
        let credentials = Credentials::from_json(&body).map_err(refused)?;
        let client_id = credentials.client_id.clone();
        let store = Arc::clone(&self.store);
        // In a task of its own, so that the update takes effect even if the client closes the
        // connection.
        let left = tokio::spawn(async move { store.replace(credentials).await })
            .await
            .map_err(|_| ProxyError::Internal)?;
        self.metrics.update(Source::Put, Update::Taken);
        let note = match left {
            0 => format!("client {client_id}"),
            _ => format!("client {client_id}; {left} requests keep the previous credentials"),
        };
        Ok((OwnResponse::empty(StatusCode::OK), note))
    }
}
