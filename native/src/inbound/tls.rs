//! TLS with clients: `--tls-cert` and `--tls-key`, which are loaded again when they change.

use super::lingering_close::linger;
use crate::inbound::TlsFiles;
use crate::os::file_watch::{self, FileWatcher};
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

/// The TLS configuration, with the certificate that is presented to clients.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    watcher: FileWatcher,
    config: watch::Sender<Arc<ServerConfig>>,
}

/// Makes TLS handshakes with the latest certificate.
#[derive(Clone, Debug)]
pub(super) struct Handshake(watch::Receiver<Arc<ServerConfig>>);

/// Why the certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{option} {path:?}: cannot be read: {reason}")]
    Unreadable {
        /// The option that names it.
        option: &'static str,
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        reason: io::Error,
    },
    /// A file does not contain what it should.
    #[error("{option} {path:?}: expected {expected}, found {found}")]
    Invalid {
        /// The option that names it.
        option: &'static str,
        /// Its path.
        path: PathBuf,
        /// What it should contain.
        expected: &'static str,
        /// What was found in it.
        found: &'static str,
    },
    /// The certificate and the key cannot be used together.
    #[error(
        "{CERTIFICATE} and {KEY} cannot be used together: {}: give the key of the certificate",
        pair_problem(.0)
    )]
    Pair(#[source] Error),
}

/// Why a TLS handshake failed.
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
/// The file cannot be read, or does not contain a certificate.
pub fn own_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let own = chain(path)?.into_iter().next();
    own.ok_or_else(|| invalid(CERTIFICATE, path, &pem::Error::NoItemsFound))
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    ///
    /// A file cannot be read or does not contain what it should, or certificate and key do not belong
    /// together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let watcher = FileWatcher::new([files.certificate.clone(), files.key.clone()]);
        let (config, _) = watch::channel(read(&files)?);
        Ok(Self { files, watcher, config })
    }

    pub(super) fn handshake(&self) -> Handshake {
        Handshake(self.config.subscribe())
    }

    /// Loads the files again whenever they change, for new connections. If they cannot be used, the
    /// previous certificate stays in use. Never ends.
    pub(super) async fn follow(mut self) {
        loop {
            self.watcher.changed().await;
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
    /// Makes the handshake on a TCP connection, within `limit`. Unix sockets do not use TLS.
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
                // So that a client that sends plain HTTP receives the alert.
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
    // If a client offers only HTTP/2, the handshake fails with the alert no_application_protocol.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads a certificate chain; never returns an empty one.
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
        _ => "the client violates the TLS protocol".to_owned(),
    }
}

fn contents(option: &'static str, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    file_watch::read(path).map_err(|reason| TlsError::Unreadable {
        option,
        path: path.into(),
        reason,
    })
}

/// The error does not contain anything of the file, which may be the key.
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
