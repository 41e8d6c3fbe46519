//! The admin listener: serves health, metrics and status to operators, on an address that tasks do not
//! use.

mod listen;
mod status;

pub use listen::{Address, AdminError, Listener};
pub use status::Status;

use crate::os::stream::Stream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Serves forever, also while the proxy is starting or draining.
pub async fn serve(listener: Listener, status: Arc<Status>) {
    tracing::info!("admin at {}", listener.location());
    loop {
        match listener.accept().await {
            Ok(stream) => drop(tokio::spawn(serve_connection(stream, Arc::clone(&status)))),
            Err(error) => {
                tracing::debug!("the admin listener cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn serve_connection(stream: Stream, status: Arc<Status>) {
    let service = service_fn(|request| {
        let response = status.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the admin listener failed: {error}");
    }
}

/// How long to wait after accepting a connection failed, usually because no file descriptor was left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
