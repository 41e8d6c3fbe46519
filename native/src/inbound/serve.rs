//! Connections of clients: accepted, admitted, and served, each in a task of its own.

use super::connection;
use super::connection_limit::{ConnectionLimit, Room};
use super::tls::HandshakeError;
use super::{AdmitError, Admitter, Config, Drain, Listeners, Tls, TlsError, Verdict};
use crate::proxy::{Client, Handler};
use crate::telemetry::metrics::{Metrics, Rejection};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_local;

/// Accepts, admits and serves connections.
#[derive(Debug)]
pub struct Inbound {
    /// For connections over TCP, if they use TLS.
    tls: Option<Tls>,
    admitter: Admitter,
    header_timeout: Duration,
    max_connections: usize,
    drain: Arc<Drain>,
    metrics: Arc<Metrics>,
}

/// Why connections cannot be served as the options say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboundError {
    /// The owners of connections cannot be looked up.
    #[error(transparent)]
    Admission(#[from] AdmitError),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Inbound {
    /// Reads the certificate, and makes sure that it can be told who may connect. `drain` ends
    /// connections when the proxy stops; `metrics` counts them.
    ///
    /// # Errors
    ///
    /// The certificate or its key cannot be used, or it cannot be told who may connect.
    pub fn new(
        config: &Config,
        drain: &Arc<Drain>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, InboundError> {
        Ok(Self {
            admitter: Admitter::new(&config.admission)?,
            tls: config.tls.clone().map(Tls::load).transpose()?,
            header_timeout: config.header_timeout,
            max_connections: config.max_connections,
            drain: Arc::clone(drain),
            metrics: Arc::clone(metrics),
        })
    }

    /// Serves the connections that `listeners` accept, forever; those that were accepted go on by
    /// themselves until the drain tells them to end.
    pub async fn serve<H: Handler + 'static>(self, mut listeners: Listeners, handler: Rc<H>) {
        let Self { tls, admitter, header_timeout, max_connections, drain, metrics } = self;
        let admitter = Rc::new(admitter);
        let handshake = tls.as_ref().map(Tls::handshake);
        if let Some(tls) = tls {
            spawn_local(tls.follow());
        }
        let mut limit = ConnectionLimit::new(max_connections);
        loop {
            let (mut stream, peer) = listeners.accept().await;
            let room = limit.room();
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
