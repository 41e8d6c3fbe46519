//! TLS to upstreams and to proxies on the way: rustls with the system's roots, or built-in ones where there are none.

use super::error::{UpstreamError, explain};
use crate::os::stream::Stream;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, TlsStream};

/// How to speak TLS as a client.
#[derive(Clone, Debug)]
pub(super) struct ClientConfigs {
    pub(super) to_upstreams: Arc<ClientConfig>,
    /// HTTP/1.1 alone: so are they asked for tunnels.
    pub(super) to_proxies: Arc<ClientConfig>,
}

/// What the other side has chosen to speak within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl ClientConfigs {
    /// Reads the root certificates, which takes some milliseconds.
    ///
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name the roots to trust; else they are the system's; where
    /// there are none (a container from scratch, or a platform whose store cannot be linked), those
    /// of Mozilla that are built in.
    ///
    /// # Errors
    ///
    /// The variables name certificates that cannot be used: trusting others instead would not be what
    /// was asked for.
    pub(super) fn load() -> Result<Self, TlsError> {
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| TlsError(error.to_string()))?
                .with_root_certificates(roots()?)
                .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let to_proxies = Arc::new(config.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self { to_upstreams: Arc::new(config), to_proxies })
    }
}

/// Starts TLS with `host` on `stream`.
pub(super) async fn start(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: Stream,
) -> Result<(Stream, Alpn), UpstreamError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| UpstreamError::Refused(format!("{host:?} is no name that TLS knows")))?;
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
) -> Result<(Box<TlsStream<S>>, Alpn), UpstreamError> {
    let stream = connector.connect(name, stream).await.map_err(|error| {
        let reason = format!("TLS: {}", explain(&error));
        // Not by source(), which is that of the error within.
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                let reason = in_words(why).map_or(reason, |words| format!("TLS: {words}"));
                UpstreamError::Untrusted(reason)
            }
            _ => UpstreamError::Connect(reason),
        }
    })?;
    let alpn = match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Alpn::Http2,
        _ => Alpn::Http1,
    };
    Ok((Box::new(TlsStream::Client(stream)), alpn))
}

/// As ALPN has them (RFC 7301 section 6, RFC 9113 section 3.2).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Root certificates that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub(super) struct TlsError(String);

/// What is wrong with an upstream's certificate, and what to do, where it is something that happens.
fn in_words(error: &CertificateError) -> Option<&'static str> {
    Some(match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it there, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not yet valid: set this machine's clock, or renew it there"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name: use the name that it is for"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody who is trusted has issued its certificate: name its root in SSL_CERT_FILE, or add \
             it to the system's"
        }
        _ => return None,
    })
}

fn roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = found_roots()?;
    let (usable, _unusable) = roots.add_parsable_certificates(found);
    if usable == 0 {
        if let Some(variable) = named_by() {
            return Err(TlsError(format!("{variable} names no usable root certificate")));
        }
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// The variable that says where the roots are, if one does.
fn named_by() -> Option<&'static str> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(not(target_vendor = "apple"))]
fn found_roots() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    match (named_by(), found.errors.first()) {
        (Some(variable), Some(error)) if found.certs.is_empty() => {
            Err(TlsError(format!("{variable}: {error}")))
        }
        _ => Ok(found.certs),
    }
}

/// Apple's own store needs its frameworks, which a cross build lacks.
#[cfg(target_vendor = "apple")]
fn found_roots() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    use rustls::pki_types::pem::PemObject as _;
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) else {
        return Ok(Vec::new());
    };
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError(format!("SSL_CERT_FILE: {error}")))
}
