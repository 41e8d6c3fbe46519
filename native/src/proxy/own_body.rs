//! Reads the bodies of requests to the proxy's own endpoints, and discards those of rejected requests.

use super::handle::Rejection;
use crate::outbound::RequestBody;
use http::request::Parts;
use std::future::poll_fn;
use std::time::Duration;
use taskcluster_proxy_core::proxy::ProxyError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The maximum size of a body that is read without a permit of [`LARGE_BODIES`], in bytes. Credentials
/// have some thousand bytes.
const MAX_SMALL_BODY: usize = 64 * 1024;
/// Permits for larger bodies: few enough for the memory that a proxy should need at most.
static LARGE_BODIES: Semaphore = Semaphore::const_new(4);
const LARGE_BODIES_OPEN: &str = "it is receiving too many bodies of more than 64 KiB at once";
/// How long receiving the body of a request to the proxy itself may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a body that is read and discarded to keep the connection, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long discarding a body may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Rejects every method except `allow`.
pub(super) async fn expect_method(
    head: &Parts,
    body: &RequestBody,
    allow: &'static str,
    endpoint: &'static str,
) -> Result<(), Rejection> {
    if head.method == allow {
        return Ok(());
    }
    let error = ProxyError::Method { endpoint, allow, method: head.method.to_string() };
    Err(Rejection { error, close: !discard(body).await })
}

/// Reads the whole body, if it is not longer than `limit` and arrives before the timeout. The buffer is
/// zeroized when dropped, because the body may be credentials.
pub(super) async fn read(
    body: &RequestBody,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    timeout(BODY_TIMEOUT, read_without_timeout(body, limit)).await.unwrap_or_else(|_| {
        let reason = format!("it was not received within {} s", BODY_TIMEOUT.as_secs());
        Err(Rejection { error: ProxyError::Body(reason), close: true })
    })
}

async fn read_without_timeout(
    body: &RequestBody,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let rejection = |error| Rejection { error, close: true };
    let too_large = || rejection(ProxyError::TooLarge { limit });
    let announced = body.length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // The buffer has room for the whole body, because one that grows would leave copies behind. But a large
    // buffer is allocated only when the body arrives, because a client may announce any length.
    let capacity = announced.unwrap_or_default().min(MAX_SMALL_BODY);
    let mut whole = Zeroizing::new(Vec::with_capacity(capacity));
    let mut large: Option<SemaphorePermit<'_>> = None;
    while let Some(frame) = poll_fn(|context| body.poll_next(context)).await {
        let frame = frame.map_err(|error| rejection(ProxyError::Body(error.to_string())))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > limit {
            return Err(too_large());
        }
        if length > MAX_SMALL_BODY && large.is_none() {
            let busy = |_| rejection(ProxyError::Busy(LARGE_BODIES_OPEN.to_owned()));
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

/// Reads and discards a body, if it is small and arrives soon, so that the client can reuse its
/// connection. Returns whether all of it was read.
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
