//! TLS to upstreams and to forward proxies: rustls with ring.

mod algorithms;
mod failure;
mod key_exchange;
mod roots;
mod verifier;

use super::connect_error::ConnectError;
use crate::os::stream::Stream;
pub use failure::TlsFailure;
use roots::Roots;
pub use roots::TlsSetupError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};
use url::Host;
use verifier::Verifier;

/// The TLS configurations for upstreams and for forward proxies.
#[derive(Clone, Debug)]
pub(super) struct ClientConfigs {
    pub(super) to_upstreams: Arc<ClientConfig>,
    /// Offers only HTTP/1.1, with which tunnels are opened.
    pub(super) to_proxies: Arc<ClientConfig>,
}

/// The protocol that the server has selected with ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl ClientConfigs {
    /// Reads the root certificates, which takes some milliseconds.
    ///
    /// # Errors
    ///
    /// The environment names root certificates that cannot be used.
    pub(super) fn load() -> Result<Self, TlsSetupError> {
        let provider = Arc::new(algorithms::provider());
        let verifier = Verifier::new(Roots::load()?, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // A custom verifier: it is webpki's with one addition, which is documented at its definition.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let to_proxies = Arc::new(config.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self { to_upstreams: Arc::new(config), to_proxies })
    }
}

/// Makes a TLS handshake with `host` on `stream`.
pub(super) async fn start(
    config: &Arc<ClientConfig>,
    host: &Host,
    stream: Stream,
) -> Result<(Stream, Alpn), ConnectError> {
    let name = match host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|_| ConnectError::TlsName(name.clone()))?
        }
        Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
    };
    let connector = TlsConnector::from(Arc::clone(config));
    Ok(match stream {
        Stream::Tcp(tcp) => {
            let (tls, alpn) = shake_hands(&connector, name, tcp).await?;
            (Stream::Tls(tls), alpn)
        }
        stream => {
            let (tls, alpn) = shake_hands(&connector, name, stream).await?;
            (Stream::TlsWithin(tls), alpn)
        }
    })
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    name: ServerName<'static>,
    stream: S,
) -> Result<(Box<TlsStream<S>>, Alpn), TlsFailure> {
    let stream = connector.connect(name, stream).await.map_err(TlsFailure::new)?;
    let alpn = match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Alpn::Http2,
        _ => Alpn::Http1,
    };
    Ok((Box::new(TlsStream::Client(stream)), alpn))
}

/// The protocol ids of ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";
