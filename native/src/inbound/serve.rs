//! Accepts clients' connections, and admits and serves each of them in a task of its own.

use super::connection;
use super::connection_limit::{ConnectionLimit, Permit};
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
    /// TLS for TCP connections; `None` for plain HTTP.
    tls: Option<Tls>,
    admitter: Admitter,
    header_timeout: Duration,
    max_connections: usize,
    drain: Arc<Drain>,
    metrics: Arc<Metrics>,
}

/// Why connections cannot be served with this configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboundError {
    /// The owners of connections cannot be looked up.
    #[error(transparent)]
    Admission(#[from] AdmitError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Inbound {
    /// Reads the certificate, and checks that the owners of connections can be looked up if that is
    /// necessary. `drain` ends connections when the proxy stops; `metrics` counts them.
    ///
    /// # Errors
    ///
    /// The certificate or its key cannot be used, or the owners of connections cannot be looked up.
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

    /// Serves the connections that `listeners` accept, forever. Each connection has its own task, which
    /// continues after this future is dropped, until the drain tells it to end.
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
            let permit = limit.acquire().await;
            if let Permit::Close = permit {
                continue;
            }
            let (handler, admitter) = (Rc::clone(&handler), Rc::clone(&admitter));
            let (handshake, metrics) = (handshake.clone(), Arc::clone(&metrics));
            let open = drain.open();
            metrics.accept();
            let rejected = permit.rejected();
            let serving = async move {
                // In the connection's own task: other connections must not wait for this check.
                if let Verdict::Rejected(reason) = admitter.admit(&stream, &peer).await {
                    return metrics.reject(reason);
                }
                if let Some(handshake) = handshake {
                    let accepted = tokio::select! {
                        // Boxed, because a task is as large as its largest future.
                        accepted = Box::pin(handshake.accept(stream, header_timeout)) => accepted,
                        // No request has begun yet.
                        () = open.draining() => return,
                    };
                    stream = match accepted {
                        Ok(stream) => stream,
                        Err(HandshakeError::Closed) => return metrics.reject(Rejection::Gone),
                        Err(error) => {
                            tracing::warn!("Rejected connection: from {peer}, {error}");
                            return metrics.reject(Rejection::Tls);
                        }
                    };
                }
                let _permit = match permit {
                    Permit::Serve(permit) => permit,
                    Permit::Reject(_permit, rejected) => {
                        let limit = max_connections;
                        return Box::pin(connection::reject(stream, &*handler, limit, &rejected))
                            .await;
                    }
                    Permit::Close => return,
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
            };
            match rejected {
                None => spawn_local(serving),
                Some(rejected) => spawn_local(async move {
                    tokio::select! {
                        biased;
                        () = serving => {}
                        () = rejected.evicted() => {}
                    }
                }),
            };
        }
    }
}
