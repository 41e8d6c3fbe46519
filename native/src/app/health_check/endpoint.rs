//! The endpoints of the proxy that is checked.

use crate::inbound::Listen;
use crate::os::stream::Stream;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The options that determine on which endpoints the proxy listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// The TCP address. If it is `None`, the proxy listens on the default address, unless it listens on a
    /// Unix socket.
    pub listen: Option<Listen>,
    /// The PEM file with the certificate for TLS over TCP; `None` for plain HTTP.
    pub certificate: Option<PathBuf>,
    /// The path of the Unix socket.
    pub socket: Option<PathBuf>,
}

/// An endpoint on which the proxy listens.
#[derive(Debug)]
pub(super) enum Endpoint {
    Tcp(SocketAddr),
    /// TLS over TCP, and the file with the certificate.
    Tls(SocketAddr, PathBuf),
    Unix(PathBuf),
}

impl Listening {
    /// The endpoints that must respond.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let default = Listen::default();
        let listen = self.listen.as_ref().or(self.socket.is_none().then_some(&default));
        let tcp = listen.map(|listen| match &self.certificate {
            None => Endpoint::Tcp(loopback(listen)),
            Some(certificate) => Endpoint::Tls(loopback(listen), certificate.clone()),
        });
        tcp.into_iter().chain(self.socket.clone().map(Endpoint::Unix)).collect()
    }
}

/// The address at which a proxy is reached from its own machine: a loopback address if it listens on all
/// addresses.
fn loopback(listen: &Listen) -> SocketAddr {
    let address = match listen.address {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(address) => address,
    };
    SocketAddr::new(address, listen.port)
}

impl Endpoint {
    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => {
                TcpStream::connect(address).await.map(Stream::Tcp)
            }
            #[cfg(unix)]
            Self::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The option that determines the endpoint.
    pub(super) fn option(&self) -> &'static str {
        match self {
            Self::Tcp(_) | Self::Tls(..) => "--port",
            Self::Unix(_) => "--socket",
        }
    }

    /// The `Host` of the request (RFC 9112 section 3.2).
    pub(super) fn host(&self) -> String {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(
        listen: Option<Listen>,
        certificate: Option<&str>,
        socket: Option<&str>,
    ) -> String {
        let [certificate, socket] = [certificate, socket].map(|path| path.map(PathBuf::from));
        format!("{:?}", Listening { listen, certificate, socket }.endpoints())
    }

    #[test]
    fn unspecified_addresses_are_checked_by_loopback() {
        for (address, expected) in [
            (None, "127.0.0.1:80"),
            (Some("0.0.0.0"), "127.0.0.1:80"),
            (Some("::"), "[::1]:80"),
            (Some("192.0.2.1"), "192.0.2.1:80"),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(loopback(&Listen { address, port: 80 }).to_string(), expected);
        }
    }

    #[test]
    fn the_endpoints_are_those_on_which_a_proxy_listens() {
        let port = Some(Listen { address: None, port: 80 });
        for (listen, certificate, socket, expected) in [
            (None, None, None, "[Tcp(127.0.0.1:8080)]"),
            (port.clone(), Some("c"), None, r#"[Tls(127.0.0.1:80, "c")]"#),
            (None, Some("c"), Some("s"), r#"[Unix("s")]"#),
            (port, None, Some("s"), r#"[Tcp(127.0.0.1:80), Unix("s")]"#),
        ] {
            assert_eq!(endpoints(listen, certificate, socket), expected);
        }
    }
}
