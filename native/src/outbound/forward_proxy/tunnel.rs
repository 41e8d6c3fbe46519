//! A tunnel through an HTTP proxy, by hyper.

use crate::os::stream::Stream;
use crate::outbound::error::explain;
use crate::outbound::origin::Origin;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;

/// Why an HTTP proxy has not opened a tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelFailure {
    /// The upstream's host cannot be named in a request.
    #[error("{authority}: {reason}")]
    Authority {
        /// Host and port.
        authority: String,
        /// Why not.
        #[source]
        reason: http::Error,
    },
    /// The connection to the proxy broke, or what it sent is not HTTP.
    #[error("{}", explain(.0))]
    Http(#[from] hyper::Error),
    /// It responded with an error.
    #[error("it responded to CONNECT {authority} with {status}")]
    Status {
        /// Host and port that it was asked for.
        authority: String,
        /// What it responded.
        status: StatusCode,
    },
    /// Something came before the upstream can have sent anything.
    #[error("it sent more than a response to CONNECT")]
    UnexpectedData,
}

impl TunnelFailure {
    /// Whether the next attempt would fail for the same reason.
    pub(in crate::outbound) fn is_permanent(&self) -> bool {
        matches!(self, Self::Authority { .. } | Self::Status { .. })
    }
}

/// Asks the HTTP proxy at the end of `stream` for a tunnel to `origin` (RFC 9110 section 9.3.6).
pub(in crate::outbound) async fn ask(
    stream: Stream,
    origin: &Origin,
    authorization: Option<HeaderValue>,
) -> Result<Stream, TunnelFailure> {
    let authority = origin.host_and_port();
    let mut request = Request::connect(&authority).header(HOST, &authority);
    if let Some(authorization) = authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|reason| TunnelFailure::Authority { authority: authority.clone(), reason })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors reach whoever waits for a response.
    spawn_local(async { drop(connection.with_upgrades().await) });
    let response = sender.send_request(request).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(TunnelFailure::Status { authority, status });
    }
    let upgraded = hyper::upgrade::on(response).await?;
    match upgraded.downcast::<TokioIo<Stream>>() {
        Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
        _ => Err(TunnelFailure::UnexpectedData),
    }
}
