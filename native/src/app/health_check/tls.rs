//! TLS with a proxy that is identified by its certificate.

use super::{Place, Unhealthy};
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

/// `stream`, with TLS over it if the proxy uses TLS there.
pub(super) async fn secured(stream: Stream, place: &Place) -> Result<Stream, Unhealthy> {
    let (tcp, address, path) = match (stream, place) {
        (Stream::Tcp(tcp), Place::Tls(address, path)) => (tcp, address, path),
        (stream, _) => return Ok(stream),
    };
    let no_tls = |reason| Unhealthy::NoTls { place: place.to_string(), reason };
    let connector = TlsConnector::from(config(inbound::own_certificate(path)?).map_err(no_tls)?);
    match connector.connect(ServerName::from(address.ip()), tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream)))),
        Err(reason) => Err(explain(reason, place)),
    }
}

fn explain(reason: io::Error, place: &Place) -> Unhealthy {
    let place = place.to_string();
    match reason.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_)) => Unhealthy::OtherCertificate(place),
        Some(reason) => Unhealthy::NoTls { place, reason: reason.clone() },
        None => Unhealthy::NoResponse { place, reason },
    }
}

fn config(certificate: CertificateDer<'static>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = Known { certificate, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(known))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Accepts this certificate and no other, whatever its issuer, names and validity: it identifies
/// the proxy, which is connected to by an address that the certificate is not for. The signatures
/// below prove that the peer has the key.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
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
