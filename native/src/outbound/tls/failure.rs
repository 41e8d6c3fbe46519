//! Explains failed TLS handshakes: the problem, the certificate that was presented, and the remedy.

use super::roots::{RootSource, Variable};
use crate::os::clock;
use crate::outbound::error::explain;
use crate::telemetry::{counted, printable};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, Error, OtherError};
use std::fmt;
use std::io;
use std::net::IpAddr;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server closed the connection.
    #[error("it closed the connection during the handshake: does it use TLS on this port?")]
    Closed(#[source] io::Error),
    /// Reading from or writing to the connection failed.
    #[error("{}", explain(.0))]
    Io(#[source] io::Error),
    /// The certificate is not accepted.
    #[error(transparent)]
    Certificate(CertificateFailure),
    /// The certificate cannot be parsed.
    #[error("its certificate {UNREADABLE}")]
    Unreadable,
    /// The signature of the handshake does not match the certificate's key.
    #[error(
        "the signature of its handshake does not match the key of its certificate: either the key is too \
         short (RSA needs 2048 bits), or it uses the private key of another certificate"
    )]
    Signature,
    /// The certificate's key is not supported.
    #[error(
        "the key of its certificate, or its signature algorithm, is not supported: have one issued with \
         RSA, ECDSA or Ed25519"
    )]
    UnsupportedKey,
    /// The handshake failed for another reason.
    #[error("{}", handshake(.0))]
    Handshake(#[source] Error),
}

/// Why a certificate was not accepted, with a description of it.
#[derive(Clone, Debug)]
pub struct CertificateFailure {
    problem: String,
    presented: String,
}

impl CertificateFailure {
    pub(super) fn new(problem: String, certificate: &CertificateDer<'_>) -> Self {
        Self { problem, presented: describe(certificate) }
    }
}

impl fmt::Display for CertificateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its certificate {}; it presented {}", self.problem, self.presented)
    }
}

impl std::error::Error for CertificateFailure {}

/// The problem with a certificate and its remedy, as the predicate of a sentence about the certificate.
pub(super) fn problem(
    error: &CertificateError,
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    roots: &RootSource,
) -> String {
    let now = || clock::now().to_rfc3339();
    let advice = roots.advice();
    let has_hosts =
        Certificate::from_der(certificate).is_ok_and(|certificate| !hosts(&certificate).is_empty());
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!(
                "has expired: renew it on the server, or correct this machine's clock ({})",
                now()
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
            "is not yet valid: correct this machine's clock ({}), or renew it on the server",
            now()
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            if !has_hosts =>
        {
            no_hosts(server_name)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "is for another name than {}: use a name of the certificate, or have one issued for this \
                 name",
                server_name.to_str()
            )
        }
        CertificateError::UnknownIssuer => format!(
            "was not issued by a certificate that is trusted: {advice}; or let the server send its \
             intermediate certificates as well. Trusted are {roots}"
        ),
        CertificateError::BadSignature => format!(
            "was not signed by the trusted certificate with the name of its issuer: {advice}. \
             Trusted are {roots}"
        ),
        CertificateError::Revoked => "has been revoked: have another one issued".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a key or a signature algorithm that is not supported: have one issued with RSA of 2048 \
             bits or more, ECDSA or Ed25519, and SHA-256, SHA-384 or SHA-512"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: have one issued whose extended key usage has serverAuth".to_owned()
        }
        CertificateError::UnhandledCriticalExtension => UNKNOWN_EXTENSION.to_owned(),
        CertificateError::Other(OtherError(error)) => match error.downcast_ref() {
            // If it is trusted, then not as a server's, for there is no name to compare.
            Some(webpki::Error::CaUsedAsEndEntity) if !has_hosts => no_hosts(server_name),
            Some(webpki::Error::CaUsedAsEndEntity) => {
                format!("is for a certificate authority, not a server: {}", trust_advice(roots))
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "or that of its issuer has X.509 version 1 or 2: have one of version 3 issued, with the \
                 host as subjectAltName"
                    .to_owned()
            }
            Some(webpki::Error::UnsupportedCriticalExtension) => UNKNOWN_EXTENSION.to_owned(),
            Some(webpki::Error::NameConstraintViolation) => {
                "is for a name that its issuer may not issue certificates for".to_owned()
            }
            Some(
                webpki::Error::PathLenConstraintViolated
                | webpki::Error::EndEntityUsedAsCa
                | webpki::Error::MaximumPathDepthExceeded,
            ) => "was issued by a certificate that may not issue it".to_owned(),
            _ => UNREADABLE.to_owned(),
        },
        _ => UNREADABLE.to_owned(),
    }
}

const UNKNOWN_EXTENSION: &str =
    "has a critical extension that is not supported: have one issued without it";
const UNREADABLE: &str = "cannot be verified: have another one issued";

/// The problem of a certificate that is for no host.
fn no_hosts(server_name: &ServerName<'_>) -> String {
    let kind = match server_name {
        ServerName::IpAddress(_) => "IP",
        _ => "DNS",
    };
    let host = server_name.to_str();
    format!(
        "has no subjectAltName with a host, and so no name to compare with {host}: use one that \
         has it (openssl req -x509 ... -addext subjectAltName={kind}:{host})"
    )
}

/// Advice on how to trust the certificate itself.
fn trust_advice(roots: &RootSource) -> String {
    match roots.variable() {
        Some(Variable { name, value, .. }) => format!(
            "to trust this certificate itself, add it to {value}, which {name} names; otherwise use a \
             certificate that it has issued"
        ),
        None => {
            "to trust this certificate itself, name it in SSL_CERT_FILE; otherwise use a certificate \
             that it has issued"
                .to_owned()
        }
    }
}

/// Describes a certificate: subject, issuer, dates and names.
fn describe(certificate: &CertificateDer<'_>) -> String {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return format!("{} bytes that are not an X.509 certificate", certificate.len());
    };
    let names = hosts(&certificate);
    let certificate = certificate.tbs_certificate();
    let validity = certificate.validity();
    let names = match names.as_slice() {
        [] => "no host (it has no subjectAltName)".to_owned(),
        names if names.len() > MAX_SHOWN_NAMES => {
            let shown: Vec<&str> = names.iter().take(MAX_SHOWN_NAMES).map(String::as_str).collect();
            let others = counted(names.len() - MAX_SHOWN_NAMES, "other", "others");
            format!("{} and {others}", shown.join(", "))
        }
        names => names.join(", "),
    };
    let subject = match certificate.subject().to_string() {
        subject if subject.is_empty() => "no subject".to_owned(),
        subject => format!("subject {subject}"),
    };
    printable(&format!(
        "{subject}, issuer {}, valid from {} until {}, for {names}",
        certificate.issuer(),
        validity.not_before,
        validity.not_after
    ))
}

/// The hosts that a certificate is for.
fn hosts(certificate: &Certificate) -> Vec<String> {
    let extensions = certificate.tbs_certificate().filter_extensions::<SubjectAltName>();
    let names = extensions.filter_map(Result::ok).flat_map(|(_, SubjectAltName(names))| names);
    let host = |name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => ip(octets.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    };
    names.filter_map(host).collect()
}

/// The maximum number of names in a description.
const MAX_SHOWN_NAMES: usize = 5;

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

impl TlsFailure {
    /// The failure of a handshake that ended with `error`.
    pub(super) fn new(error: io::Error) -> Self {
        // `source()` would skip the wrapped error itself.
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        match tls {
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed(error),
            None => Self::Io(error),
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(failure)))) => {
                let failure = failure.downcast_ref::<CertificateFailure>();
                failure.cloned().map_or(Self::Unreadable, Self::Certificate)
            }
            Some(Error::InvalidCertificate(CertificateError::BadSignature)) => Self::Signature,
            Some(Error::InvalidCertificate(_)) => Self::UnsupportedKey,
            Some(tls) => Self::Handshake(tls.clone()),
        }
    }

    /// Whether the reason is the server's certificate, so that another attempt would fail as well.
    pub(in crate::outbound) fn is_untrusted(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Io(_) | Self::Handshake(_) => false,
            Self::Certificate(_) | Self::Unreadable | Self::Signature | Self::UnsupportedKey => {
                true
            }
        }
    }
}

/// Explains why client and server could not complete the handshake.
fn handshake(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => match *alert {
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                "it refused the handshake (alert handshake_failure): it has no cipher suite, key \
                 exchange or type of certificate in common with the proxy, which supports TLS 1.3, and \
                 TLS 1.2 with ECDHE and AES-GCM or ChaCha20; or it requires a client certificate, which \
                 the proxy does not have"
                    .to_owned()
            }
            AlertDescription::ProtocolVersion => NO_VERSION.to_owned(),
            AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
                "it requires a client certificate, which the proxy does not have".to_owned()
            }
            AlertDescription::UnrecognisedName => {
                "it does not know the host's name (alert unrecognized_name): correct the URL".to_owned()
            }
            AlertDescription::NoApplicationProtocol => NO_HTTP.to_owned(),
            alert => format!("it refused the handshake with alert {}", u8::from(alert)),
        },
        Error::InvalidMessage(_) => {
            "expected TLS, found something else: correct the scheme or the port of the URL".to_owned()
        }
        Error::PeerIncompatible(
            rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13
            | rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => NO_VERSION.to_owned(),
        Error::PeerIncompatible(_) => {
            "it has no cipher suite, key exchange or signature in common with the proxy".to_owned()
        }
        Error::NoApplicationProtocol => NO_HTTP.to_owned(),
        Error::NoCertificatesPresented => "it has no certificate".to_owned(),
        Error::DecryptError => "its messages cannot be decrypted".to_owned(),
        _ => "it violates the TLS protocol".to_owned(),
    }
}

const NO_VERSION: &str = "it supports neither TLS 1.2 nor TLS 1.3: update it";
const NO_HTTP: &str = "it supports neither HTTP/1.1 nor HTTP/2 over TLS";
