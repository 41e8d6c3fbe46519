//! Loads the trusted root certificates.

use rustls::RootCertStore;
use rustls::client::VerifierBuilderError;
use rustls::pki_types::CertificateDer;
use std::fmt;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;

/// The root certificates against which the certificates of servers are verified.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    /// Root certificates that are also trusted as certificates of servers: those with subjectAltNames. The
    /// roots of public authorities have none.
    pub(super) servers: Vec<CertificateDer<'static>>,
    pub(super) source: RootSource,
}

/// The source of the root certificates.
#[derive(Clone, Debug)]
pub(super) enum RootSource {
    /// The files that this environment variable names, which have `count` certificates.
    Variable { name: &'static str, value: String, count: usize },
    /// The system's store, with this number of certificates.
    System(usize),
    /// Mozilla's built-in certificates, because the system has none.
    BuiltIn,
}

/// Why TLS cannot be set up: the root certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// The files that a variable names have no usable certificate.
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
        /// The reason.
        #[source]
        reason: rustls_native_certs::Error,
    },
    /// The file cannot be read, or is not PEM.
    #[cfg(target_vendor = "apple")]
    #[error("SSL_CERT_FILE: {0}")]
    Unreadable(#[from] rustls::pki_types::pem::Error),
    /// rustls does not accept the root certificates.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    /// rustls does not accept the TLS versions.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Roots {
    /// Loads the root certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; if these are not set,
    /// those of the system; and if the system has none (a container from scratch, or a platform whose store
    /// cannot be linked), Mozilla's, which are built in.
    ///
    /// # Errors
    ///
    /// The files that the variables name cannot be used. Other certificates are not trusted instead,
    /// because that would ignore the configuration.
    pub(super) fn load() -> Result<Self, TlsSetupError> {
        let mut store = RootCertStore::empty();
        let found = certificates()?;
        let servers = found.iter().filter(|certificate| has_names(certificate)).cloned().collect();
        let (count, _unusable) = store.add_parsable_certificates(found);
        let source = match (variable(), count) {
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
    /// Advice on how to add another certificate.
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
            Self::BuiltIn => {
                f.write_str("Mozilla's built-in certificates, because the system has none")
            }
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

/// The environment variable that names root certificates, if one is set, and its value.
fn variable() -> Option<(&'static str, String)> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

#[cfg(not(target_vendor = "apple"))]
fn certificates() -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    match (variable(), found.errors.into_iter().next()) {
        (Some((variable, _)), Some(reason)) if found.certs.is_empty() => {
            Err(TlsSetupError::Unreadable { variable, reason })
        }
        _ => Ok(found.certs),
    }
}

/// Apple's own store needs Apple's frameworks, which are not available in a cross build.
#[cfg(target_vendor = "apple")]
fn certificates() -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    use rustls::pki_types::pem::PemObject as _;
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) else {
        return Ok(Vec::new());
    };
    Ok(CertificateDer::pem_file_iter(file).and_then(Iterator::collect)?)
}
