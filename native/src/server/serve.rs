//! Connections of clients: HTTP/1.1, one task each.

use super::connection;
use super::{Admitter, Drain, Listeners, Tls, Verdict};
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::service::Service;
use std::sync::Arc;

/// Accepts, admits and serves connections, for ever, over TCP with `tls`, if there is one; those that
/// were accepted go on by themselves, until `drain` tells them to end.
pub async fn serve(
    mut listeners: Listeners,
    tls: Option<Tls>,
    admitter: Admitter,
    service: Arc<Service>,
    drain: Arc<Drain>,
    metrics: Arc<Metrics>,
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
        let open = drain.open();
        metrics.accept();
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            // Here and not before: the check of one connection must not keep the others waiting.
            if let Verdict::Rejected(why) = admitter.admit(&stream, &peer).await {
                return metrics.reject(why);
            }
            if let Some(handshake) = handshake {
                let shaken = tokio::select! {
                    shaken = handshake.shake(stream, head_timeout) => shaken,
                    // Nothing was asked yet.
                    () = open.told_to_end() => return,
                };
                stream = match shaken {
                    Ok(stream) => stream,
                    Err(error) => return tracing::debug!("connection of {peer} ended: {error}"),
                };
            }
            let served = connection::serve(stream, &peer, &service, &open, head_timeout).await;
            if let Err(error) = served {
                tracing::debug!("connection of {peer} ended: {error}");
            }
        });
    }
}
