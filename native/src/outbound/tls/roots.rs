//! The root certificates that are trusted.

use rustls::RootCertStore;
use rustls::client::VerifierBuilderError;
use rustls::pki_types::CertificateDer;
use std::fmt;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;

/// What certificates are verified against.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    /// Certificates that are trusted as they are, not only as issuers of others: those with names. The
    /// roots of public authorities have none.
    pub(super) servers: Vec<CertificateDer<'static>>,
    pub(super) source: RootSource,
}

/// Where the roots come from.
#[derive(Clone, Debug)]
pub(super) enum RootSource {
    /// So many of the files that this variable names.
    Variable { name: &'static str, value: String, count: usize },
    /// So many of the system's store.
    System(usize),
    /// Mozilla's, as the system has none.
    BuiltIn,
}

/// Why TLS cannot be set up: root certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// There are files, and no certificate that can be used in them.
    #[error(
        "{variable} names no usable root certificate ({value}): expected PEM files with certificates"
    )]
    NoRoots {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A file cannot be read, or is not PEM.
    #[cfg(not(target_vendor = "apple"))]
    #[error("{variable}: {reason}")]
    Unreadable {
        /// The environment variable.
        variable: &'static str,
        /// Why not.
        #[source]
        reason: rustls_native_certs::Error,
    },
    /// The file cannot be read, or is not PEM.
    #[cfg(target_vendor = "apple")]
    #[error("SSL_CERT_FILE: {0}")]
    Unreadable(#[from] rustls::pki_types::pem::Error),
    /// The roots are not accepted.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    /// No version of TLS is possible.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Roots {
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name the roots to trust; else they are the system's; where
    /// there are none (a container from scratch, or a platform whose store cannot be linked), those
    /// of Mozilla that are built in.
    ///
    /// # Errors
    ///
    /// The variables name certificates that cannot be used: trusting others instead would not be what
    /// was asked for.
    pub(super) fn load() -> Result<Self, TlsSetupError> {
        let mut store = RootCertStore::empty();
        let found = certificates()?;
        let servers = found.iter().filter(|certificate| has_names(certificate)).cloned().collect();
        let (count, _unusable) = store.add_parsable_certificates(found);
        let source = match (named_by(), count) {
            (Some((variable, value)), 0) => {
                return Err(TlsSetupError::NoRoots { variable, value });
            }
            (Some((name, value)), count) => RootSource::Variable { name, value, count },
            (None, 0) => {
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                RootSource::BuiltIn
            }
            (None, count) => RootSource::System(count),
        };
        Ok(Self { store, servers, source })
    }
}

impl RootSource {
    /// How to add another one.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Variable { name, value, .. } => {
                format!("add the certificate of its issuer to {value}, which {name} names")
            }
            Self::System(_) | Self::BuiltIn => {
                "name a file with the certificate of its issuer in SSL_CERT_FILE, or add that to the \
                 system's certificates"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, count, .. } => write!(f, "the certificates of {name}, {count}"),
            Self::System(count) => write!(f, "the system's certificates, {count}"),
            Self::BuiltIn => f.write_str("the built-in ones of Mozilla, as the system has none"),
        }
    }
}

fn has_names(certificate: &CertificateDer<'_>) -> bool {
    let certificate = Certificate::from_der(certificate);
    let names = |certificate: Certificate| {
        certificate.tbs_certificate().filter_extensions::<SubjectAltName>().next().is_some()
    };
    certificate.is_ok_and(names)
}

/// The variable that says where the roots are, if one does, and its value.
fn named_by() -> Option<(&'static str, String)> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

#[cfg(not(target_vendor = "apple"))]
fn certificates() -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    match (named_by(), found.errors.into_iter().next()) {
        (Some((variable, _)), Some(reason)) if found.certs.is_empty() => {
            Err(TlsSetupError::Unreadable { variable, reason })
        }
        _ => Ok(found.certs),
    }
}

/// Apple's own store needs its frameworks, which a cross build lacks.
#[cfg(target_vendor = "apple")]
fn certificates() -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    use rustls::pki_types::pem::PemObject as _;
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) else {
        return Ok(Vec::new());
    };
    Ok(CertificateDer::pem_file_iter(file).and_then(Iterator::collect)?)
}
