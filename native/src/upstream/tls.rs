//! TLS to upstreams: rustls with the system's roots, or built-in ones where there are none.

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::sync::Arc;

/// How to speak TLS as a client. Reads the root certificates, which takes some milliseconds.
///
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name the roots to trust; else they are the system's; where
/// there are none (a container from scratch, or a platform whose store cannot be linked), those of
/// Mozilla that are built in.
///
/// # Errors
///
/// The variables name certificates that cannot be used: trusting others instead would not be what
/// was asked for.
pub(super) fn client_config() -> Result<Arc<ClientConfig>, TlsError> {
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(roots()?)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Root certificates that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub(super) struct TlsError(String);

/// What is wrong with an upstream's certificate, and what to do, where it is something that happens.
pub(super) fn in_words(error: &CertificateError) -> Option<&'static str> {
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
