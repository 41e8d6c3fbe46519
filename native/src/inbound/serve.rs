//! Connections of clients: accepted, admitted, and served, each in a task of its own.

use super::connection;
use super::connection_limit::{ConnectionLimit, Room};
use super::tls::HandshakeError;
use super::{Admitter, Drain, Listeners, Tls, Verdict};
use crate::config::Limits;
use crate::proxy::{Client, Handler};
use crate::telemetry::metrics::{Metrics, Rejection};
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::spawn_local;

/// Where and how connections are accepted.
#[derive(Debug)]
pub struct Inbound {
    /// The sockets.
    pub listeners: Listeners,
    /// For connections over TCP, if there is one.
    pub tls: Option<Tls>,
    /// Who may connect.
    pub admitter: Admitter,
    /// Ends connections when the proxy ends.
    pub drain: Arc<Drain>,
    /// Where connections are counted.
    pub metrics: Arc<Metrics>,
    /// Limits of time.
    pub limits: Limits,
    /// How many connections are served at once.
    pub max_connections: usize,
}

impl Inbound {
    /// Accepts, admits and serves connections, for ever; those that were accepted go on by themselves,
    /// until the drain tells them to end.
    pub async fn serve<H: Handler + 'static>(self, handler: Rc<H>) {
        let Self { mut listeners, tls, admitter, drain, metrics, limits, max_connections } = self;
        let header_timeout = limits.head_timeout;
        let admitter = Rc::new(admitter);
        let handshake = tls.as_ref().map(Tls::handshake);
        if let Some(tls) = tls {
            spawn_local(tls.follow());
        }
        let mut limit = ConnectionLimit::new(max_connections);
        loop {
            let (mut stream, peer) = listeners.accept().await;
            let room = limit.room().await;
            if let Room::NotEvenForThat = room {
                continue;
            }
            let (handler, admitter) = (Rc::clone(&handler), Rc::clone(&admitter));
            let (handshake, metrics) = (handshake.clone(), Arc::clone(&metrics));
            let open = drain.open();
            metrics.accept();
            spawn_local(async move {
                // Here and not before: the check of one connection must not keep the others waiting.
                if let Verdict::Rejected(why) = admitter.admit(&stream, &peer).await {
                    return metrics.reject(why);
                }
                if let Some(handshake) = handshake {
                    let shaken = tokio::select! {
                        // In a box, as all that is rare: a task is as large as its largest step.
                        shaken = Box::pin(handshake.shake(stream, header_timeout)) => shaken,
                        // Nothing was asked yet.
                        () = open.told_to_end() => return,
                    };
                    stream = match shaken {
                        Ok(stream) => stream,
                        Err(HandshakeError::Gone) => return metrics.reject(Rejection::Gone),
                        Err(error) => {
                            tracing::warn!("Rejected connection: from {peer}, {error}");
                            return metrics.reject(Rejection::Tls);
                        }
                    };
                }
                // It is held until the connection ends.
                let _permit = match room {
                    Room::Here(permit) => permit,
                    Room::None(_permit) => {
                        return Box::pin(connection::reject(stream, &*handler, max_connections))
                            .await;
                    }
                    Room::NotEvenForThat => return,
                };
                let client = Client::new(peer);
                let served =
                    connection::serve(stream, &client, &*handler, &open, header_timeout).await;
                let peer = &client.peer;
                match served {
                    Err(error) if error.is_malformed() => {
                        tracing::info!("malformed request from {peer}: {error}");
                    }
                    Err(error) => tracing::debug!("connection of {peer} ended: {error}"),
                    Ok(()) => {}
                }
            });
        }
    }
}
