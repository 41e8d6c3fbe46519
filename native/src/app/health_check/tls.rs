//! TLS with the proxy that is checked, which is identified by its certificate.

use super::{Endpoint, Unhealthy};
use crate::inbound;
use crate::os::stream::Stream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::io;
use std::sync::Arc;
use tokio_rustls::{TlsConnector, TlsStream};

/// The first byte of an alert (RFC 8446 section 5.1).
pub(super) const ALERT: u8 = 21;

/// Makes a TLS handshake on `stream` if the proxy uses TLS at `endpoint`; returns the stream to use.
pub(super) async fn start_tls(stream: Stream, endpoint: &Endpoint) -> Result<Stream, Unhealthy> {
    let (tcp, address, path) = match (stream, endpoint) {
        (Stream::Tcp(tcp), Endpoint::Tls(address, path)) => (tcp, address, path),
        (stream, _) => return Ok(stream),
    };
    let no_tls = |reason| Unhealthy::NoTls { endpoint: endpoint.to_string(), reason };
    let connector = TlsConnector::from(config(inbound::own_certificate(path)?).map_err(no_tls)?);
    match connector.connect(ServerName::from(address.ip()), tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream)))),
        Err(reason) => Err(explain(reason, endpoint)),
    }
}

fn explain(reason: io::Error, endpoint: &Endpoint) -> Unhealthy {
    let endpoint = endpoint.to_string();
    match reason.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_)) => Unhealthy::OtherCertificate(endpoint),
        Some(reason) => Unhealthy::NoTls { endpoint, reason: reason.clone() },
        None => Unhealthy::NoResponse { endpoint, reason },
    }
}

fn config(certificate: CertificateDer<'static>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = PinnedCertificate { certificate, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(known))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Accepts only this certificate, regardless of its issuer, names and validity. It identifies the proxy,
/// whose local address is usually not among the names. Verifying the signatures proves that the peer has
/// the key.
#[derive(Debug)]
struct PinnedCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
