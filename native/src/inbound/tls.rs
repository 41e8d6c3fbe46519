//! TLS with clients: `--tls-cert` and `--tls-key`, followed as they change.

use super::lingering_close::linger;
use crate::inbound::TlsFiles;
use crate::os::file_watch::{self, Changes};
use crate::os::stream::Stream;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{AlertDescription, Error, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

/// The certificate that clients are presented with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    changes: Changes,
    config: watch::Sender<Arc<ServerConfig>>,
}

/// Does the handshakes, always with the latest certificate.
#[derive(Clone, Debug)]
pub(super) struct Handshake(watch::Receiver<Arc<ServerConfig>>);

/// Why there can be no TLS with clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{option} {path:?}: cannot be read: {reason}")]
    Unreadable {
        /// Which one.
        option: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// A file contains something else.
    #[error("{option} {path:?}: expected {expected}, found {found}")]
    Invalid {
        /// Which one.
        option: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What it should contain.
        expected: &'static str,
        /// What it contains.
        found: &'static str,
    },
    /// They cannot be used together.
    #[error(
        "{CERTIFICATE} and {KEY} cannot be used together: {}: give the key of the certificate",
        pair_problem(.0)
    )]
    Pair(#[source] Error),
}

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The client only checked whether the port is open, as workers do every 100 ms
    /// (docs/compatibility.md, S7).
    #[error("closed before a TLS handshake")]
    Closed,
    #[error("no TLS handshake within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("no TLS handshake: {}", handshake_problem(.0))]
    Failed(#[source] io::Error),
}

/// The certificate that a proxy with this `--tls-cert` presents.
///
/// # Errors
///
/// It cannot be read, or holds something else.
pub fn own_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let own = chain(path)?.into_iter().next();
    own.ok_or_else(|| invalid(CERTIFICATE, path, &pem::Error::NoItemsFound))
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    ///
    /// One of them cannot be read or holds something else, or they do not belong together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let changes = Changes::of([files.certificate.clone(), files.key.clone()]);
        let (config, _) = watch::channel(read(&files)?);
        Ok(Self { files, changes, config })
    }

    pub(super) fn handshake(&self) -> Handshake {
        Handshake(self.config.subscribe())
    }

    /// Loads the files again whenever they change, for new connections. Files that cannot be used
    /// leave the old certificate in use. Never ends.
    pub(super) async fn follow(mut self) {
        loop {
            self.changes.next().await;
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || read(&files)).await {
                Ok(Ok(config)) => {
                    tracing::info!("new TLS certificate from {:?}", self.files.certificate);
                    self.config.send_replace(config);
                }
                Ok(Err(error)) => tracing::warn!("the TLS certificate stays as it is: {error}"),
                Err(_) => {}
            }
        }
    }
}

impl Handshake {
    /// Accepts TLS on a connection over TCP. A Unix socket needs none.
    pub(super) async fn accept(
        &self,
        stream: Stream,
        limit: Duration,
    ) -> Result<Stream, HandshakeError> {
        let Stream::Tcp(tcp) = stream else {
            return Ok(stream);
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0.borrow()));
        let accepting = async {
            match tcp.peek(&mut [0]).await {
                Ok(0) | Err(_) => None,
                Ok(_) => Some(acceptor.accept(tcp).into_fallible().await),
            }
        };
        match timeout(limit, accepting).await {
            Ok(Some(Ok(stream))) => Ok(Stream::Tls(Box::new(TlsStream::Server(stream)))),
            Ok(Some(Err((error, mut tcp)))) => {
                // So that a client that spoke plain HTTP receives the alert.
                linger(&mut tcp).await;
                Err(HandshakeError::Failed(error))
            }
            Ok(None) => Err(HandshakeError::Closed),
            Err(_) => Err(HandshakeError::Timeout(limit)),
        }
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { certificate, key } = files;
    file_watch::warn_if_exposed(KEY, key);
    let chain = chain(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&contents(KEY, key)?)
        .map_err(|error| invalid(KEY, key, &error))?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(TlsError::Pair)?;
    // A client that offers HTTP/2 alone fails the handshake with an alert that says so.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// At least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&contents(CERTIFICATE, path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(CERTIFICATE, path, &error))?;
    match chain.as_slice() {
        [] => Err(invalid(CERTIFICATE, path, &pem::Error::NoItemsFound)),
        _ => Ok(chain),
    }
}

fn pair_problem(error: &Error) -> &'static str {
    match error {
        Error::InconsistentKeys(_) => "the key is another certificate's",
        Error::InvalidCertificate(_) => "the certificate cannot be parsed",
        _ => "the key is not one of RSA, ECDSA (P-256, P-384) or Ed25519",
    }
}

fn handshake_problem(error: &io::Error) -> String {
    let error = match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(error) => error,
        None => return error.to_string(),
    };
    match error {
        Error::InvalidMessage(_) => "expected TLS, found something else".to_owned(),
        Error::AlertReceived(alert) => {
            let what = match alert {
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate => "does not accept the certificate",
                _ => "ended it",
            };
            format!("the client {what} (alert {})", u8::from(*alert))
        }
        Error::PeerIncompatible(_) => {
            "the client has no TLS version, cipher suite or key exchange in common with the proxy"
                .to_owned()
        }
        Error::NoApplicationProtocol => {
            "the client does not offer HTTP/1.1 (ALPN http/1.1)".to_owned()
        }
        _ => "the client does not keep to the protocol".to_owned(),
    }
}

fn contents(option: &'static str, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    file_watch::read(path).map_err(|reason| TlsError::Unreadable {
        option,
        path: path.into(),
        reason,
    })
}

/// Without the contents of the file, which may be the key.
fn invalid(option: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let expected = match option {
        KEY => "a private key in PEM (PKCS #8, PKCS #1 or SEC 1)",
        _ => "certificates in PEM, the server's own first",
    };
    let found = match error {
        pem::Error::NoItemsFound => "none",
        _ => "something else",
    };
    TlsError::Invalid { option, path: path.into(), expected, found }
}

const CERTIFICATE: &str = "--tls-cert";
const KEY: &str = "--tls-key";
