//! Forwards a request to an upstream, and the response to the client.

use super::access_log::AccessLog;
use super::diagnosis::diagnose;
use super::handle::{Rejection, respond_with};
use super::headers::ForwardedHeaders;
use super::own_body::discard;
use super::response;
use super::{Proxy, ResponseBody};
use crate::outbound::{OutboundRequest, RequestBody, Target};
use http::request::Parts;
use http::{Response, StatusCode, Version};
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{Diagnosis, Finding};

impl Proxy {
    /// Forwards a request to `target`, signed with the current credentials.
    pub(super) async fn forward(
        &self,
        head: Parts,
        body: &RequestBody,
        target: &Target,
        log: &Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        let lease = self.store.lease().await;
        let signer = match lease.signer() {
            Ok(signer) => signer,
            Err(error) => {
                let close = !discard(body).await;
                return respond_with(Err(Rejection { error, close }), lease, log);
            }
        };
        // Cannot fail: nothing else sets it.
        let _ = log.upstream.set(Arc::clone(&target.origin));
        let ForwardedHeaders { headers, accepts_trailers } =
            ForwardedHeaders::of_request(head.headers);
        body.read_ahead().await;
        let request = OutboundRequest {
            method: &head.method,
            target,
            headers: &headers,
            accepts_trailers: accepts_trailers && head.version == Version::HTTP_11,
            signer: Some(signer),
        };
        match self.outbound.send(&request, body, &log.attempts).await {
            Ok(mut response) => {
                let refused = response.head.status == StatusCode::UNAUTHORIZED
                    || response.head.status == StatusCode::FORBIDDEN;
                let diagnosis = match response.head.status {
                    StatusCode::LENGTH_REQUIRED if body.length().is_none() => {
                        Diagnosis(vec![Finding::LengthRequired])
                    }
                    _ if refused => Box::pin(diagnose(&mut response, target, &lease.profile)).await,
                    _ => Diagnosis::default(),
                };
                let header = (!diagnosis.is_empty()).then(|| diagnosis.to_header());
                if !diagnosis.is_empty() {
                    tracing::warn!("{} refused the request: {diagnosis}", target.origin.as_str());
                }
                response::forward(response, target, header.as_deref(), lease, log, body)
            }
            Err(error) => {
                let error = error.into_proxy_error(target.origin.as_str().to_owned());
                respond_with(Err(Rejection { error, close: !body.is_complete() }), lease, log)
            }
        }
    }
}
