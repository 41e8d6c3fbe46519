//! Connections of clients: HTTP/1.1, one task each.

use super::connection;
use super::{Admitter, Listeners, Tls, Verdict};
use crate::config::Limits;
use crate::service::Service;
use std::sync::Arc;

/// Accepts, admits and serves connections, for ever; over TCP with `tls`, if there is one.
pub async fn serve(
    mut listeners: Listeners,
    tls: Option<Tls>,
    admitter: Admitter,
    service: Arc<Service>,
    limits: &Limits,
) {
    let head_timeout = limits.head_timeout;
    let admitter = Arc::new(admitter);
    let handshake = tls.as_ref().map(Tls::handshake);
    if let Some(tls) = tls {
        tokio::spawn(tls.follow());
    }
    loop {
        let (mut stream, peer) = listeners.accept().await;
        let (service, admitter) = (Arc::clone(&service), Arc::clone(&admitter));
        let handshake = handshake.clone();
        tokio::spawn(async move {
            // Here and not before: the check of one connection must not keep the others waiting.
            if admitter.admit(&stream, &peer).await == Verdict::Rejected {
                return;
            }
            if let Some(handshake) = handshake {
                stream = match handshake.shake(stream, head_timeout).await {
                    Ok(stream) => stream,
                    Err(error) => return tracing::debug!("connection of {peer} ended: {error}"),
                };
            }
            let served = connection::serve(stream, &peer, &service, head_timeout).await;
            if let Err(error) = served {
                tracing::debug!("connection of {peer} ended: {error}");
            }
        });
    }
}
