//! Opens tunnels through HTTP proxies with `CONNECT`.

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

/// Why an HTTP proxy did not open a tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelFailure {
    /// The upstream's host cannot be part of a request target.
    #[error("{authority}: {reason}")]
    Authority {
        /// The host and port of the requested tunnel.
        authority: String,
        /// The reason.
        #[source]
        reason: http::Error,
    },
    /// The connection to the proxy was lost, or its response is not HTTP.
    #[error("{}", explain(.0))]
    Http(#[from] hyper::Error),
    /// The proxy responded with an error.
    #[error("it responded to CONNECT {authority} with {status}")]
    Status {
        /// The host and port of the requested tunnel.
        authority: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// The proxy sent data before the upstream could have sent any.
    #[error("it sent more than a response to CONNECT")]
    UnexpectedData,
}

impl TunnelFailure {
    /// Whether another attempt would fail for the same reason.
    pub(in crate::outbound) fn is_permanent(&self) -> bool {
        match self {
            Self::Authority { .. } => true,
            Self::Status { status, .. } => !status.is_server_error(),
            Self::Http(_) | Self::UnexpectedData => false,
        }
    }
}

/// Opens a tunnel to `origin` through the HTTP proxy to which `stream` is connected (RFC 9110 section
/// 9.3.6).
pub(in crate::outbound) async fn open(
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
    // hyper also returns errors of the connection to the request that waits for a response.
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
