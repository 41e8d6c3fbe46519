//! The bodies of requests that are not forwarded: read in whole for the proxy's own endpoints, or
//! discarded.

use super::handle::Refusal;
use crate::outbound::RequestBody;
use http::request::Parts;
use std::future::poll_fn;
use std::time::Duration;
use taskcluster_proxy_core::proxy::ProxyError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Of bodies larger than this, in bytes, only a few are read at once. Credentials have some
/// thousand bytes.
const MAX_SMALL_BODY: usize = 64 * 1024;
/// How many: together they fit into the memory that a proxy is given.
static LARGE_BODIES: Semaphore = Semaphore::const_new(4);
const LARGE_BODIES_OPEN: &str =
    "as many bodies of more than 64 KiB are being received as there is room for";
/// How long the body of a request to the proxy itself may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest body that is discarded to keep the connection, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Refuses every method but `allow`.
pub(super) async fn expect_method(
    head: &Parts,
    body: &RequestBody,
    allow: &'static str,
    endpoint: &'static str,
) -> Result<(), Refusal> {
    if head.method == allow {
        return Ok(());
    }
    let error = ProxyError::Method { endpoint, allow, method: head.method.to_string() };
    Err(Refusal { error, close: !discard(body).await })
}

/// The whole body, if it is not longer than `limit` and arrives before the timeout. Zeroized when
/// dropped: it may be credentials.
pub(super) async fn read(body: &RequestBody, limit: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    timeout(BODY_TIMEOUT, read_without_timeout(body, limit)).await.unwrap_or_else(|_| {
        let reason = format!("it was not received within {} seconds", BODY_TIMEOUT.as_secs());
        Err(Refusal { error: ProxyError::Body(reason), close: true })
    })
}

async fn read_without_timeout(
    body: &RequestBody,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let refusal = |error| Refusal { error, close: true };
    let too_large = || refusal(ProxyError::TooLarge { limit });
    let announced = body.length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // A buffer for all of it, as one that grows leaves copies behind; but a large one only when the
    // body arrives, as a client may announce any length.
    let capacity = announced.unwrap_or_default().min(MAX_SMALL_BODY);
    let mut whole = Zeroizing::new(Vec::with_capacity(capacity));
    let mut large: Option<SemaphorePermit<'_>> = None;
    while let Some(frame) = poll_fn(|context| body.poll_next(context)).await {
        let frame = frame.map_err(|error| refusal(ProxyError::Body(error.to_string())))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > limit {
            return Err(too_large());
        }
        if length > MAX_SMALL_BODY && large.is_none() {
            let busy = |_| refusal(ProxyError::Busy(LARGE_BODIES_OPEN.to_owned()));
            large = Some(LARGE_BODIES.try_acquire().map_err(busy)?);
        }
        if length > whole.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * length));
            larger.extend_from_slice(&whole);
            whole = larger;
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// Reads and drops a body, if it is small and arrives soon, so that the client can reuse its
/// connection. Whether all of it was read.
pub(super) async fn discard(body: &RequestBody) -> bool {
    if body.is_complete() {
        return true;
    }
    if body.awaits_continue() || body.length().is_some_and(|length| length > MAX_DISCARDED as u64) {
        return false;
    }
    let discarding = async {
        while body.received() <= MAX_DISCARDED as u64 {
            match poll_fn(|context| body.poll_next(context)).await {
                None => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) => return false,
            }
        }
        false
    };
    timeout(DISCARD_TIMEOUT, discarding).await.unwrap_or(false)
}
