//! Connections of clients: HTTP/1.1, one task each.

use super::{Admitter, Listeners, Verdict};
use crate::config::Limits;
use crate::service::Service;
use crate::upstream::BUFFER;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;

/// Accepts, admits and serves connections, for ever.
pub async fn serve(
    mut listeners: Listeners,
    admitter: Admitter,
    service: Arc<Service>,
    limits: &Limits,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(BUFFER)
        // The Go program writes names like this, and scripts look for `Location:` with grep.
        .title_case_headers(true)
        // What came from upstream passes unchanged; answers of our own bring a date along.
        .auto_date_header(false);
    loop {
        let (stream, client, local) = listeners.accept().await;
        if admitter.admit(&stream, client, local) != Verdict::Admitted {
            continue;
        }
        let service = Arc::clone(&service);
        let answer = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(service.call(request).await) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async move {
            // A client that goes away, or sends something that is not HTTP and got a 400 for it.
            if let Err(error) = connection.await {
                tracing::debug!("connection of {client} ended: {error}");
            }
        });
    }
}
