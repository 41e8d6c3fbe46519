//! Connections of clients: HTTP/1.1, one task each.

use super::linger::Lingering;
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
    let admitter = Arc::new(admitter);
    loop {
        let (stream, peer) = listeners.accept().await;
        let (http, service, admitter) = (http.clone(), Arc::clone(&service), Arc::clone(&admitter));
        tokio::spawn(async move {
            // Here and not before: the check of one connection must not keep the others waiting.
            if admitter.admit(&stream, &peer).await == Verdict::Rejected {
                return;
            }
            let answer = service_fn(|request| async {
                Ok::<_, Infallible>(service.call(request, &peer).await)
            });
            // A client that goes away, or sends something that is not HTTP and got a 400 for it.
            if let Err(error) =
                http.serve_connection(TokioIo::new(Lingering::new(stream)), answer).await
            {
                tracing::debug!("connection of {peer} ended: {error}");
            }
        });
    }
}
