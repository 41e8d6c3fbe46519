//! `PUT /credentials`: replaces the current credentials.

use super::access_log::AccessLog;
use super::handle::{Rejection, respond_with};
use super::own_body::{discard, expect_method, read};
use super::response::OwnResponse;
use super::{Proxy, ResponseBody};
use crate::credentials::Replaced;
use crate::os::peer::Peer;
use crate::outbound::RequestBody;
use crate::telemetry::counted;
use crate::telemetry::metrics::{Source, Update};
use http::request::Parts;
use http::{Response, StatusCode};
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::ProxyError;

/// The maximum size of the request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

impl Proxy {
    /// Replaces the credentials with those in the body. The response names them, even if another update
    /// waits already; an error names the current ones.
    pub(super) async fn put_credentials(
        &self,
        head: &Parts,
        body: &RequestBody,
        peer: &Peer,
        log: &Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        match self.replace_credentials(head, body, peer).await {
            Ok(Replaced { lease, left }) => {
                let client_id = &lease.client_id;
                let note = match left {
                    0 => format!("client {client_id}"),
                    _ => {
                        let requests = counted(left, "request keeps", "requests keep");
                        format!("client {client_id}; {requests} the previous credentials")
                    }
                };
                respond_with(Ok((OwnResponse::empty(StatusCode::OK), note)), lease, log)
            }
            Err(rejection) => self.reject_with(rejection, log).await,
        }
    }

    /// Holds no lease, because the update waits until all leases have ended.
    async fn replace_credentials(
        &self,
        head: &Parts,
        body: &RequestBody,
        peer: &Peer,
    ) -> Result<Replaced, Rejection> {
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
        let store = Arc::clone(&self.store);
        // In a task of its own, so that the update takes effect even if the client closes the
        // connection.
        let replaced = tokio::spawn(async move { store.replace(credentials).await })
            .await
            .map_err(|_| ProxyError::Internal)?;
        self.metrics.update(Source::Put, Update::Taken);
        Ok(replaced)
    }
}
