//! The places where the proxy that is checked listens.

use crate::inbound::Listen;
use crate::os::stream::Stream;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Where the proxy that is checked listens, by its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Over TCP. `None`: where nothing else is listened on, as by default.
    pub listen: Option<Listen>,
    /// The certificate of TLS over TCP, in PEM. `None`: plain HTTP.
    pub certificate: Option<PathBuf>,
    /// On a Unix socket.
    pub socket: Option<PathBuf>,
}

/// One of them.
#[derive(Debug)]
pub(super) enum Place {
    Tcp(SocketAddr),
    /// With the file that has the certificate.
    Tls(SocketAddr, PathBuf),
    Unix(PathBuf),
}

impl Listening {
    /// All places that have to respond.
    pub(super) fn places(&self) -> Vec<Place> {
        let default = Listen::default();
        let listen = self.listen.as_ref().or(self.socket.is_none().then_some(&default));
        let tcp = listen.map(|listen| match &self.certificate {
            None => Place::Tcp(loopback(listen)),
            Some(certificate) => Place::Tls(loopback(listen), certificate.clone()),
        });
        tcp.into_iter().chain(self.socket.clone().map(Place::Unix)).collect()
    }
}

/// Where a proxy that listens everywhere is reached from its own machine.
fn loopback(listen: &Listen) -> SocketAddr {
    let address = match listen.address {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(address) => address,
    };
    SocketAddr::new(address, listen.port)
}

impl Place {
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

    /// The option that the proxy has it from.
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

impl fmt::Display for Place {
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

    fn places(listen: Option<Listen>, certificate: Option<&str>, socket: Option<&str>) -> String {
        let [certificate, socket] = [certificate, socket].map(|path| path.map(PathBuf::from));
        format!("{:?}", Listening { listen, certificate, socket }.places())
    }

    #[test]
    fn everywhere_is_asked_by_loopback() {
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
    fn where_a_proxy_listens_it_is_asked() {
        let port = Some(Listen { address: None, port: 80 });
        for (listen, certificate, socket, expected) in [
            (None, None, None, "[Tcp(127.0.0.1:8080)]"),
            (port.clone(), Some("c"), None, r#"[Tls(127.0.0.1:80, "c")]"#),
            (None, Some("c"), Some("s"), r#"[Unix("s")]"#),
            (port, None, Some("s"), r#"[Tcp(127.0.0.1:80), Unix("s")]"#),
        ] {
            assert_eq!(places(listen, certificate, socket), expected);
        }
    }
}
