//! `PUT /credentials`: others take the place of the current credentials.

use super::Proxy;
use super::handle::Refusal;
use super::own_body::{discard, expect_method, read};
use super::response::OwnResponse;
use crate::inbound::Peer;
use crate::outbound::RequestBody;
use crate::telemetry::metrics::{Source, Update};
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::ProxyError;

/// The largest body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

impl Proxy {
    /// Puts the credentials in the body in force. It holds no lease itself: an update waits for all.
    pub(super) async fn put_credentials(
        &self,
        head: &Parts,
        body: &RequestBody,
        peer: &Peer,
    ) -> Result<(OwnResponse, String), Refusal> {
        expect_method(head, body, "PUT", "/credentials").await?;
        if let Err(error) = self.policy.credentials.admit(peer).await {
            return Err(Refusal { error, close: !discard(body).await });
        }
        let body = read(body, MAX_BODY).await?;
        let refused = |error| {
            self.metrics.update(Source::Put, Update::Refused);
            ProxyError::Credentials(error)
        };
        let credentials = Credentials::from_json(&body).map_err(refused)?;
        let client_id = credentials.client_id.clone();
        let store = Arc::clone(&self.store);
        // What was received in whole is put in force, even if its sender does not wait for that.
        let left = tokio::spawn(async move { store.replace(credentials).await })
            .await
            .map_err(|_| ProxyError::Internal)?;
        self.metrics.update(Source::Put, Update::Taken);
        let note = match left {
            0 => format!("client {client_id}"),
            _ => format!("client {client_id}; {left} requests go on with the previous credentials"),
        };
        Ok((OwnResponse::empty(StatusCode::OK), note))
    }
}
