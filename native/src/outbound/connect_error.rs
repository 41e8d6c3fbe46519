//! Errors of connecting to an upstream.

use super::error::explain;
use super::forward_proxy::{Socks5Failure, TunnelFailure};
use super::tls::{TlsFailure, TlsSetupError};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::task::JoinError;

/// Why connecting to an upstream failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host name could not be resolved.
    #[error("{reason} ({host}): check the host name and the DNS server")]
    Resolve {
        /// The host name.
        host: String,
        /// The error of the system's resolver.
        #[source]
        reason: io::Error,
    },
    /// No address accepted the connection.
    #[error("{0}")]
    Addresses(AddressFailures),
    /// TLS cannot be set up: the environment names root certificates that cannot be used.
    #[error("cannot set up TLS: {0}")]
    TlsSetup(#[from] TlsSetupError),
    /// A task of connecting panicked: an attempt, or reading the root certificates.
    #[error(transparent)]
    Task(#[from] JoinError),
    /// The host name cannot be used with TLS.
    #[error("expected a host name that is valid for TLS, found {0:?}")]
    TlsName(String),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsFailure),
    /// The HTTP handshake failed, or the connection was lost before anything was sent.
    #[error("{}", explain(.0))]
    Http(#[from] hyper::Error),
    /// The upstream closed the connection immediately.
    #[error("the upstream closed the new connection")]
    Closed,
    /// The HTTP proxy did not open a tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelFailure),
    /// The SOCKS5 proxy did not make the connection.
    #[error(transparent)]
    Socks5(#[from] Socks5Failure),
    /// Connecting to, or through, a forward proxy failed.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// The URL of the proxy, without a login.
        proxy: String,
        /// The reason.
        #[source]
        reason: Box<ConnectError>,
    },
}

/// The addresses of a host, each with the reason why connecting failed; empty if the host has none.
#[derive(Debug, Default)]
pub struct AddressFailures(pub(super) Vec<(SocketAddr, io::Error)>);

impl ConnectError {
    /// Whether another attempt would fail for the same reason.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Addresses(_)
            | Self::Task(_)
            | Self::Http(_)
            | Self::Closed => false,
            Self::TlsSetup(_) | Self::TlsName(_) => true,
            Self::Tls(failure) => failure.is_untrusted(),
            Self::Tunnel(failure) => failure.is_permanent(),
            Self::Socks5(failure) => failure.is_permanent(),
            Self::Proxy { reason, .. } => reason.is_permanent(),
        }
    }

    /// Whether the message says what to correct.
    pub fn says_what_to_do(&self) -> bool {
        match self {
            Self::Addresses(_) | Self::Task(_) | Self::Http(_) | Self::Closed => false,
            Self::Resolve { .. }
            | Self::TlsSetup(_)
            | Self::TlsName(_)
            | Self::Tls(_)
            | Self::Tunnel(_)
            | Self::Socks5(_) => true,
            Self::Proxy { reason, .. } => reason.says_what_to_do(),
        }
    }

    /// Whether the reason is the upstream's certificate, rather than that of a forward proxy.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Tls(failure) if failure.is_untrusted())
    }
}

impl AddressFailures {
    pub(super) fn contains(&self, address: &SocketAddr) -> bool {
        self.0.iter().any(|(failed, _)| failed == address)
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
