//! The admin listener: health, metrics and status for whoever operates the proxy, never on the port
//! that tasks have.

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

/// Answers whoever asks, for ever: while the proxy starts and while it drains, too.
pub async fn serve(listener: Listener, status: Arc<Status>) {
    tracing::info!("admin at {}", listener.place());
    loop {
        match listener.accept().await {
            Ok(stream) => drop(tokio::spawn(answer(stream, Arc::clone(&status)))),
            Err(error) => {
                tracing::debug!("the admin listener cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: Stream, status: Arc<Status>) {
    let answer = service_fn(|request| {
        let response = status.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the admin listener broke: {error}");
    }
}

/// How long to wait when the system has no more sockets to give.
const PAUSE: Duration = Duration::from_millis(100);
