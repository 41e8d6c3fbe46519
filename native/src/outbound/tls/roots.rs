//! Loads the trusted root certificates.

use rustls::RootCertStore;
use rustls::client::VerifierBuilderError;
use rustls::pki_types::CertificateDer;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
#[cfg(all(unix, not(target_vendor = "apple")))]
use std::path::PathBuf;
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
    /// The files that these environment variables name. There is at least one variable.
    Variables(Vec<Variable>),
    /// The system's store, with this number of certificates.
    System(usize),
    /// Mozilla's built-in certificates, because the system has none.
    BuiltIn,
}

/// An environment variable that names files with root certificates.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// The number of certificates in the files.
    count: usize,
}

/// Why TLS cannot be set up: the root certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// The files that a variable names have no usable certificate.
    #[error(
        "{variable} names no usable root certificate ({value}): name PEM files with \
         certificates, or unset it"
    )]
    NoRoots {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A file cannot be read, or is not PEM.
    #[cfg(not(target_vendor = "apple"))]
    #[error("{variable}: {reason}: name PEM files with certificates, or unset it")]
    Unreadable {
        /// The environment variable.
        variable: &'static str,
        /// The reason.
        #[source]
        reason: rustls_native_certs::Error,
    },
    /// The file cannot be read, or is not PEM.
    #[cfg(target_vendor = "apple")]
    #[error("SSL_CERT_FILE: {0}: name a PEM file with certificates, or unset it")]
    Unreadable(#[from] rustls::pki_types::pem::Error),
    /// rustls does not accept the root certificates.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    /// rustls does not accept the TLS versions.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Roots {
    /// Loads the root certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, from both if both are set;
    /// if neither is, those of the system; and if the system has none (a container from scratch, or a
    /// platform whose store cannot be linked), Mozilla's, which are built in.
    ///
    /// # Errors
    ///
    /// The variables name no usable certificate. Other certificates are not trusted instead, because that
    /// would ignore the configuration. If one of two variables names none, that is a warning.
    pub(super) fn load() -> Result<Self, TlsSetupError> {
        Self::of_variables(&named())
    }

    /// Loads the certificates that the variables `named` name; each is given with its value.
    fn of_variables(named: &[(&'static str, OsString)]) -> Result<Self, TlsSetupError> {
        let mut store = RootCertStore::empty();
        let mut servers = Vec::new();
        let mut add = |found: Vec<CertificateDer<'static>>| {
            servers.extend(found.iter().filter(|certificate| has_names(certificate)).cloned());
            store.add_parsable_certificates(found).0
        };
        let (mut variables, mut failures) = (Vec::new(), Vec::new());
        for (name, value) in named {
            let text = value.to_string_lossy().into_owned();
            match read(name, value).map(&mut add) {
                Ok(0) => failures.push(TlsSetupError::NoRoots { variable: name, value: text }),
                Ok(count) => variables.push(Variable { name, value: text, count }),
                Err(error) => failures.push(error),
            }
        }
        let mut failures = failures.into_iter();
        if variables.is_empty()
            && let Some(failure) = failures.next()
        {
            return Err(failure);
        }
        failures.for_each(|failure| tracing::warn!("{failure}"));
        let source = match variables.is_empty() {
            false => RootSource::Variables(variables),
            true => match add(of_system()) {
                0 => {
                    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                    RootSource::BuiltIn
                }
                count => RootSource::System(count),
            },
        };
        Ok(Self { store, servers, source })
    }
}

impl RootSource {
    /// The variable to whose files another certificate can be added.
    pub(super) fn variable(&self) -> Option<&Variable> {
        match self {
            Self::Variables(variables) => variables.first(),
            Self::System(_) | Self::BuiltIn => None,
        }
    }

    /// Advice on how to add another certificate.
    pub(super) fn advice(&self) -> String {
        match self.variable() {
            Some(Variable { name, value, .. }) => {
                format!("add the certificate of its issuer to {value}, which {name} names")
            }
            None => {
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
            Self::Variables(variables) => {
                f.write_str("the certificates of ")?;
                for (index, Variable { name, count, .. }) in variables.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", and of " };
                    write!(f, "{separator}{name}, {count}")?;
                }
                Ok(())
            }
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

/// The environment variables that name root certificates, and their values.
fn named() -> Vec<(&'static str, OsString)> {
    let mut named: Vec<_> = [FILE, DIRECTORIES]
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name).filter(|value| !value.is_empty())?)))
        .collect();
    if cfg!(target_vendor = "apple") {
        // `read` does not support directories there: SSL_CERT_DIR alone is an error.
        named.truncate(1);
    }
    named
}

const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";

/// Reads the files that `variable` names. Unreadable ones are skipped if others have certificates.
#[cfg(not(target_vendor = "apple"))]
fn read(
    variable: &'static str,
    value: &OsStr,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let paths: Vec<_> = match variable {
        DIRECTORIES => {
            env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect()
        }
        _ => vec![value.into()],
    };
    let mut certificates = Vec::new();
    let mut errors = Vec::new();
    for path in &paths {
        let found = match variable {
            DIRECTORIES => rustls_native_certs::load_certs_from_paths(None, Some(path)),
            _ => rustls_native_certs::load_certs_from_paths(Some(path), None),
        };
        certificates.extend(found.certs);
        errors.extend(found.errors);
    }
    match errors.into_iter().next() {
        Some(reason) if certificates.is_empty() => {
            Err(TlsSetupError::Unreadable { variable, reason })
        }
        _ => Ok(certificates),
    }
}

/// Apple's own store needs Apple's frameworks, which are not available in a cross build.
#[cfg(target_vendor = "apple")]
fn read(
    variable: &'static str,
    value: &OsStr,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    use rustls::pki_types::pem::PemObject as _;
    match variable {
        DIRECTORIES => Ok(Vec::new()),
        _ => Ok(CertificateDer::pem_file_iter(value).and_then(Iterator::collect)?),
    }
}

/// Called only if neither variable has a value. `load_native_certs` is not used, because it takes an empty
/// variable for the name of a file.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn of_system() -> Vec<CertificateDer<'static>> {
    let openssl_probe::ProbeResult { cert_file, cert_dir } = openssl_probe::probe();
    let mut directories = cert_dir.iter().map(PathBuf::as_path);
    let load = rustls_native_certs::load_certs_from_paths;
    let mut certificates = load(cert_file.as_deref(), directories.next()).certs;
    certificates.extend(directories.flat_map(|directory| load(None, Some(directory)).certs));
    // Directories may be links to each other.
    certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    certificates.dedup();
    certificates
}

/// An empty `SSL_CERT_FILE` is taken for the name of a file: the crate has no other way to the system's store.
#[cfg(windows)]
fn of_system() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

#[cfg(target_vendor = "apple")]
fn of_system() -> Vec<CertificateDer<'static>> {
    Vec::new()
}
