//! `POST /bewit`: responds with the URL in the body, signed.

use super::access_log::AccessLog;
use super::handle::{Refusal, respond_with};
use super::own_body::{expect_method, read};
use super::response::OwnResponse;
use super::{Proxy, ResponseBody};
use crate::credentials::Lease;
use crate::outbound::RequestBody;
use http::Response;
use http::request::Parts;
use std::rc::Rc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::hawk::{UrlError, parse_url};
use taskcluster_proxy_core::proxy::{Form, ProxyError};
use zeroize::Zeroizing;

/// How long a signed URL is valid.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

impl Proxy {
    /// Responds with the URL in the body, signed.
    pub(super) async fn bewit(
        &self,
        head: &Parts,
        body: &RequestBody,
        log: &Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        let url = url(head, body).await;
        // Only now: a client that is slow to send the body must not delay an update of the
        // credentials.
        let lease = self.store.lease().await;
        let now = self.outbound.now(Form::Service);
        let signed = url.and_then(|url| Ok(sign(&url, &lease, now)?));
        respond_with(signed, lease, log)
    }
}

async fn url(head: &Parts, body: &RequestBody) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    expect_method(head, body, "POST", "/bewit").await?;
    read(body, MAX_BODY).await
}

/// The response, and the host of the URL.
fn sign(body: &[u8], lease: &Lease, now: Timestamp) -> Result<(OwnResponse, String), ProxyError> {
    let text =
        std::str::from_utf8(body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = parse_url(text)?;
    let signed = lease.signer()?.bewit(&url, now.plus(LIFETIME))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    Ok((OwnResponse::see_other(signed.into()), host))
}
