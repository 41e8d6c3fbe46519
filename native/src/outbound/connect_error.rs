//! Why there is no connection to an upstream.

use super::error::explain;
use super::forward_proxy::{Socks5Failure, TunnelFailure};
use super::tls::{TlsFailure, TlsSetupError};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::task::JoinError;

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host's name has no address.
    #[error("{reason} ({host}): check the host name and the DNS server")]
    Resolve {
        /// The name.
        host: String,
        /// What the system's resolver says.
        #[source]
        reason: io::Error,
    },
    /// No address accepts a connection.
    #[error("{0}")]
    Addresses(AddressFailures),
    /// TLS cannot be set up: the environment names root certificates that cannot be used.
    #[error("cannot set up TLS: {0}")]
    TlsSetup(#[from] TlsSetupError),
    /// The thread that reads the root certificates ended early.
    #[error(transparent)]
    TlsThread(#[from] JoinError),
    /// TLS cannot be spoken with such a host name.
    #[error("{0:?} is not a name that TLS knows")]
    TlsName(String),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsFailure),
    /// HTTP could not be started on the new connection, or nothing was sent on it before it broke.
    #[error("{}", explain(.0))]
    Http(#[from] hyper::Error),
    /// The upstream closed the connection as soon as it was made.
    #[error("the upstream closed the new connection")]
    Closed,
    /// The HTTP proxy has not opened a tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelFailure),
    /// The SOCKS5 proxy has not made a connection.
    #[error(transparent)]
    Socks5(#[from] Socks5Failure),
    /// There is no connection to, or through, a forward proxy.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Its URL, without a login.
        proxy: String,
        /// Why not.
        #[source]
        reason: Box<ConnectError>,
    },
}

/// The addresses of a host, and why there is no connection to each. Empty: it has none.
#[derive(Debug)]
pub struct AddressFailures(pub(super) Vec<(SocketAddr, io::Error)>);

impl ConnectError {
    /// Whether the next attempt would fail for the same reason.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Addresses(_)
            | Self::TlsThread(_)
            | Self::Http(_)
            | Self::Closed => false,
            Self::TlsSetup(_) | Self::TlsName(_) => true,
            Self::Tls(failure) => failure.is_untrusted(),
            Self::Tunnel(failure) => failure.is_permanent(),
            Self::Socks5(failure) => failure.is_permanent(),
            Self::Proxy { reason, .. } => reason.is_permanent(),
        }
    }

    /// Whether its text names what to correct.
    pub fn says_what_to_do(&self) -> bool {
        match self {
            Self::Addresses(_) | Self::TlsThread(_) | Self::Http(_) | Self::Closed => false,
            Self::Resolve { .. }
            | Self::TlsSetup(_)
            | Self::TlsName(_)
            | Self::Tls(_)
            | Self::Tunnel(_)
            | Self::Socks5(_) => true,
            Self::Proxy { reason, .. } => reason.says_what_to_do(),
        }
    }

    /// Whether it is for the upstream's own certificate.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Tls(failure) if failure.is_untrusted())
    }
}

impl fmt::Display for AddressFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the host has no addresses");
        }
        for (index, (address, error)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}
