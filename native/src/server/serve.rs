//! Connections of clients: HTTP/1.1, one task each.

use super::capacity::{Capacity, Room};
use super::connection;
use super::tls::HandshakeError;
use super::{Admitter, Listeners, Tls, Verdict};
use crate::config::Limits;
use crate::metrics::Rejection;
use crate::service::Service;
use std::sync::Arc;

/// Accepts, admits and serves connections, at most `most_connections` at once, for ever, over TCP with
/// `tls`, if there is one; those that were accepted go on by themselves, until the service's drain
/// tells them to end.
pub async fn serve(
    mut listeners: Listeners,
    tls: Option<Tls>,
    admitter: Admitter,
    service: Arc<Service>,
    limits: Limits,
    most_connections: usize,
) {
    let head_timeout = limits.head_timeout;
    let admitter = Arc::new(admitter);
    let handshake = tls.as_ref().map(Tls::handshake);
    if let Some(tls) = tls {
        tokio::spawn(tls.follow());
    }
    let mut capacity = Capacity::new(most_connections);
    loop {
        let (mut stream, peer) = listeners.accept().await;
        let room = capacity.room();
        if let Room::NotEvenForThat = room {
            continue;
        }
        let (service, admitter) = (Arc::clone(&service), Arc::clone(&admitter));
        let handshake = handshake.clone();
        let open = service.drain.open();
        service.metrics.accept();
        tokio::spawn(async move {
            // Here and not before: the check of one connection must not keep the others waiting.
            if let Verdict::Rejected(why) = admitter.admit(&stream, &peer).await {
                return service.metrics.reject(why);
            }
            if let Some(handshake) = handshake {
                let shaken = tokio::select! {
                    // In a box, as all that is rare: a task is as large as its largest step.
                    shaken = Box::pin(handshake.shake(stream, head_timeout)) => shaken,
                    // Nothing was asked yet.
                    () = open.told_to_end() => return,
                };
                stream = match shaken {
                    Ok(stream) => stream,
                    Err(HandshakeError::Gone) => return service.metrics.reject(Rejection::Gone),
                    Err(error) => {
                        tracing::warn!("Rejected connection: from {peer}, {error}");
                        return service.metrics.reject(Rejection::Tls);
                    }
                };
            }
            // It is held until the connection ends.
            let _permit = match room {
                Room::Here(permit) => permit,
                Room::None(_permit) => {
                    let turned = connection::turn_away(stream, &service, most_connections);
                    return Box::pin(turned).await;
                }
                Room::NotEvenForThat => return,
            };
            let served = connection::serve(stream, &peer, &service, &open, head_timeout).await;
            if let Err(error) = served {
                tracing::debug!("connection of {peer} ended: {error}");
            }
        });
    }
}
