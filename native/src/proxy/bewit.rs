//! `POST /bewit`: responds with the URL in the body, signed.

use super::access_log::AccessLog;
use super::handle::{Refusal, respond_with};
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
        let can_sign = self.store.watch().borrow().signer().is_ok();
        if url.is_ok() && can_sign {
            self.outbound.learn_time(self.ask_for_the_time()).await;
        }
        // Only now: a client that is slow to send the body must not delay an update of the
        // credentials.
        let lease = self.store.lease().await;
        let now = self.outbound.now(Form::Service);
        let signed = url.and_then(|url| Ok(sign(&url, &lease, now)?));
        respond_with(signed, lease, log)
    }

    /// Calls a service, whose response tells the time: a URL that is signed with a wrong time is
    /// refused when it is used, where nothing explains it.
    async fn ask_for_the_time(&self) {
        let asking = call::get(&self.outbound, &self.root_url, PING, None, MAX_PING);
        let problem = match timeout(PING_TIMEOUT, asking).await {
            Ok(Ok(response)) if clock::date_of(&response.headers).is_some() => return,
            Ok(Ok(_)) => "its response has no Date".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {} seconds", PING_TIMEOUT.as_secs()),
        };
        tracing::warn!(
            "signing a URL by this machine's clock, as the services' time is not known: {PING}: {problem}"
        );
    }
}

/// Every service responds to it without authentication.
const PING: &str = "/api/auth/v1/ping";

/// The longest body of the response, in bytes.
const MAX_PING: usize = 1024 * 1024;

/// How long a URL to be signed may wait for the time.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

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
