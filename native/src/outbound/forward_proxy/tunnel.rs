//! A tunnel through an HTTP proxy, by hyper.

use crate::os::stream::Stream;
use crate::outbound::error::{UpstreamError, explain};
use crate::outbound::origin::Origin;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;

/// Asks the HTTP proxy at the end of `stream` for a tunnel to `origin` (RFC 9110 section 9.3.6).
pub(in crate::outbound) async fn ask(
    stream: Stream,
    origin: &Origin,
    authorization: Option<HeaderValue>,
) -> Result<Stream, UpstreamError> {
    let failed = |error: hyper::Error| UpstreamError::Connect(explain(&error));
    let authority = origin.host_and_port();
    let mut request = Request::connect(&authority).header(HOST, &authority);
    if let Some(authorization) = authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| UpstreamError::Refused(format!("{authority}: {error}")))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors reach whoever waits for a response.
    spawn_local(async { drop(connection.with_upgrades().await) });
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(UpstreamError::Refused(format!(
            "it responded to CONNECT {authority} with {status}"
        )));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(failed)?;
    match upgraded.downcast::<TokioIo<Stream>>() {
        Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
        _ => Err(UpstreamError::Connect("it sent more than a response to CONNECT".to_owned())),
    }
}
