//! Connections of clients: HTTP/1.1, one task each.

use super::connection;
use super::{Admitter, Listeners, Verdict};
use crate::config::Limits;
use crate::service::Service;
use std::sync::Arc;

/// Accepts, admits and serves connections, for ever.
pub async fn serve(
    mut listeners: Listeners,
    admitter: Admitter,
    service: Arc<Service>,
    limits: &Limits,
) {
    let head_timeout = limits.head_timeout;
    let admitter = Arc::new(admitter);
    loop {
        let (stream, peer) = listeners.accept().await;
        let (service, admitter) = (Arc::clone(&service), Arc::clone(&admitter));
        tokio::spawn(async move {
            // Here and not before: the check of one connection must not keep the others waiting.
            if admitter.admit(&stream, &peer).await == Verdict::Rejected {
                return;
            }
            let served = connection::serve(stream, &peer, &service, head_timeout).await;
            if let Err(error) = served {
                tracing::debug!("connection of {peer} ended: {error}");
            }
        });
    }
}
