//! `POST /bewit`: signs the URL in the body.

use super::access_log::AccessLog;
use super::handle::{Rejection, respond_with};
use super::own_body::{expect_method, read};
use super::response::OwnResponse;
use super::{Proxy, ResponseBody};
use crate::credentials::Lease;
use crate::os::clock;
use crate::outbound::RequestBody;
use crate::outbound::call;
use http::Response;
use http::request::Parts;
use std::rc::Rc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::hawk::{UrlError, parse_url};
use taskcluster_proxy_core::proxy::{Form, ProxyError};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long a signed URL is valid.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The maximum size of the request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

impl Proxy {
    /// Responds with the signed URL.
    pub(super) async fn bewit(
        &self,
        head: &Parts,
        body: &RequestBody,
        log: &Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        let url = url(head, body).await;
        let can_sign = self.store.watch().borrow().signer().is_ok();
        if url.is_ok() && can_sign {
            self.outbound.learn_time(self.request_time()).await;
        }
        // The lease begins after the body was received: a client that is slow to send it must not delay
        // an update of the credentials.
        let lease = self.store.lease().await;
        let now = self.outbound.now(Form::Service);
        let signed = url.and_then(|url| Ok(sign(&url, &lease, now)?));
        respond_with(signed, lease, log)
    }

    /// Sends a request to a service to learn the time from its response: a URL that is signed with a
    /// wrong time is refused only when it is used, without a diagnosis.
    async fn request_time(&self) {
        let request = call::get(&self.outbound, &self.root_url, PING, None, MAX_PING);
        let problem = match timeout(PING_TIMEOUT, request).await {
            Ok(Ok(response)) if clock::date_of(&response.headers).is_some() => return,
            Ok(Ok(_)) => "its response has no Date, or is from a cache".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {} s", PING_TIMEOUT.as_secs()),
        };
        tracing::warn!(
            "signing a URL with the time of this machine, because the services' time is not known: {PING}: {problem}"
        );
    }
}

/// An endpoint that requires no authentication.
const PING: &str = "/api/auth/v1/ping";

/// The maximum size of the response body, in bytes.
const MAX_PING: usize = 1024 * 1024;

/// How long signing a URL waits for the time.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

async fn url(head: &Parts, body: &RequestBody) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    expect_method(head, body, "POST", "/bewit").await?;
    read(body, MAX_BODY).await
}

/// Returns the response, and the host of the URL as the note for the access log.
fn sign(body: &[u8], lease: &Lease, now: Timestamp) -> Result<(OwnResponse, String), ProxyError> {
    let text =
        std::str::from_utf8(body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = parse_url(text)?;
    let signed = lease.signer()?.bewit(&url, now.plus(LIFETIME))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    Ok((OwnResponse::see_other(signed.into()), host))
}
