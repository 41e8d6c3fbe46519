//! Why TLS failed, in words: what is wrong, what was presented, what to change.

use super::roots::{RootSource, Variable};
use crate::os::clock;
use crate::outbound::error::explain;
use crate::telemetry::printable;
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
    /// The peer closed the connection.
    #[error("it closed the connection during the handshake: does it speak TLS on this port?")]
    Closed(#[source] io::Error),
    /// The connection broke.
    #[error("{}", explain(.0))]
    Io(#[source] io::Error),
    /// The certificate is not accepted.
    #[error(transparent)]
    Certificate(CertificateFailure),
    /// The certificate cannot be read.
    #[error("its certificate {UNREADABLE}")]
    Unreadable,
    /// The peer does not prove that it has the certificate's key.
    #[error(
        "what it signed does not fit its certificate's key: either that is too short (RSA needs 2048 \
         bits), or it has the private key of another certificate"
    )]
    Signature,
    /// The certificate's key is not supported.
    #[error(
        "its certificate's key is of a kind, or signs in a way, that is not accepted: have one issued \
         with RSA, ECDSA or Ed25519"
    )]
    KeyKind,
    /// The peers do not agree.
    #[error("{}", handshake(.0))]
    Handshake(#[source] Error),
}

/// A certificate that was not accepted.
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
        write!(f, "its certificate {}; presented was {}", self.problem, self.presented)
    }
}

impl std::error::Error for CertificateFailure {}

/// What is wrong with a certificate, and what to do about it.
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
            format!("has expired: renew it there, or set this machine's clock, which says {}", now())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
            "is not yet valid: set this machine's clock, which says {}, or renew it there",
            now()
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            if !has_hosts =>
        {
            no_hosts(server_name)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "is for another name than {}: use a name that it is for, or have one issued for this one",
                server_name.to_str()
            )
        }
        CertificateError::UnknownIssuer => format!(
            "was not issued by a certificate that is trusted: {advice}; or let the server send its \
             intermediate certificates, too. Trusted are {roots}"
        ),
        CertificateError::BadSignature => format!(
            "was not signed by the trusted certificate that has the name of its issuer: {advice}. \
             Trusted are {roots}"
        ),
        CertificateError::Revoked => "has been revoked: have another one issued".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a key or a signature of a kind that is not accepted: have one issued with RSA of 2048 \
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
                format!("is an authority's, not a server's: {}", trust_it(roots))
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "is of X.509 version 1 or 2, or its issuer's is: have one of version 3 issued, with the \
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
    "has a critical extension that is not known: have one issued without";
const UNREADABLE: &str = "is none that can be verified: have another one issued";

fn no_hosts(server_name: &ServerName<'_>) -> String {
    let kind = match server_name {
        ServerName::IpAddress(_) => "IP",
        _ => "DNS",
    };
    let host = server_name.to_str();
    format!(
        "has no subjectAltName with a host, and so no name to compare with {host}: have one made that \
         does (with openssl: -addext subjectAltName={kind}:{host})"
    )
}

fn trust_it(roots: &RootSource) -> String {
    match roots.variable() {
        Some(Variable { name, value, .. }) => format!(
            "to trust this very certificate, add it to {value}, which {name} names; else have one \
             issued by it"
        ),
        None => {
            "to trust this very certificate, name it in SSL_CERT_FILE; else have one issued by it"
                .to_owned()
        }
    }
}

/// Subject, issuer, dates and names.
fn describe(certificate: &CertificateDer<'_>) -> String {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return format!("{} bytes that are no certificate of X.509", certificate.len());
    };
    let names = hosts(&certificate);
    let certificate = certificate.tbs_certificate();
    let validity = certificate.validity();
    let names = match names.as_slice() {
        [] => "no host at all: it has no subjectAltName".to_owned(),
        names if names.len() > SHOWN => {
            let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
            format!("{} and {} others", shown.join(", "), names.len() - SHOWN)
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

/// Of so many names at most.
const SHOWN: usize = 5;

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

impl TlsFailure {
    /// Of a handshake that ended with `error`.
    pub(super) fn new(error: io::Error) -> Self {
        // Not by source(), which is that of the error within.
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        match tls {
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed(error),
            None => Self::Io(error),
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(failure)))) => {
                let failure = failure.downcast_ref::<CertificateFailure>();
                failure.cloned().map_or(Self::Unreadable, Self::Certificate)
            }
            Some(Error::InvalidCertificate(CertificateError::BadSignature)) => Self::Signature,
            Some(Error::InvalidCertificate(_)) => Self::KeyKind,
            Some(tls) => Self::Handshake(tls.clone()),
        }
    }

    /// Whether it is the certificate, which will not be another one the next time.
    pub(in crate::outbound) fn is_untrusted(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Io(_) | Self::Handshake(_) => false,
            Self::Certificate(_) | Self::Unreadable | Self::Signature | Self::KeyKind => true,
        }
    }
}

/// What went wrong between two that do not agree.
fn handshake(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => match *alert {
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                "it refused the handshake (alert handshake_failure): it has no cipher suite, key \
                 exchange or kind of certificate in common with the proxy, which takes those of TLS 1.3 \
                 and, of TLS 1.2, ECDHE with AES-GCM or ChaCha20; or it requires a client certificate, \
                 which the proxy does not have"
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
        Error::DecryptError => "what it sent cannot be decrypted".to_owned(),
        _ => "it does not keep to the protocol".to_owned(),
    }
}

const NO_VERSION: &str = "it speaks neither TLS 1.2 nor TLS 1.3: update it";
const NO_HTTP: &str = "it speaks neither HTTP/1.1 nor HTTP/2 within TLS";
