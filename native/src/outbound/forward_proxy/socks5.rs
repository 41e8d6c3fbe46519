//! A connection through a SOCKS5 proxy (RFC 1928, RFC 1929).

use crate::outbound::origin::Origin;
use std::fmt;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error, TargetAddr};
use url::Host;

/// Why a SOCKS5 proxy has not made a connection.
#[derive(Debug)]
pub struct Socks5Failure {
    /// Host and port that it was asked for.
    target: String,
    reason: Error,
}

impl std::error::Error for Socks5Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Asks the SOCKS5 proxy at the end of `tcp` for a connection to `origin`, whose name it is to look up.
pub(in crate::outbound) async fn ask(
    tcp: TcpStream,
    origin: &Origin,
    login: Option<(&str, &str)>,
) -> Result<TcpStream, Socks5Failure> {
    let port = origin.port();
    let target = match origin.host() {
        Host::Domain(name) => TargetAddr::Domain(name.into(), port),
        Host::Ipv4(ip) => TargetAddr::Ip((*ip, port).into()),
        Host::Ipv6(ip) => TargetAddr::Ip((*ip, port).into()),
    };
    let asked = match login {
        // It may do without a login all the same.
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(tcp, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(tcp, target).await,
    };
    asked
        .map(Socks5Stream::into_inner)
        .map_err(|reason| Socks5Failure { target: origin.host_and_port(), reason })
}

impl Socks5Failure {
    /// Whether the next attempt would fail for the same reason.
    pub(in crate::outbound) fn is_permanent(&self) -> bool {
        !matches!(
            self.reason,
            Error::Io(_)
                | Error::GeneralSocksServerFailure
                | Error::NetworkUnreachable
                | Error::HostUnreachable
                | Error::ConnectionRefused
                | Error::TtlExpired
        )
    }
}

/// Never with the text of `PasswordAuthFailure`, nor with a login.
impl fmt::Display for Socks5Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        let mut no_connection = |why| write!(f, "it has no connection to {target}: {why}");
        match &self.reason {
            Error::Io(error) => error.fmt(f),
            Error::GeneralSocksServerFailure => no_connection("it does not say why"),
            Error::NetworkUnreachable => no_connection("network unreachable"),
            Error::HostUnreachable => no_connection("host unreachable"),
            Error::ConnectionRefused => no_connection("connection refused"),
            Error::TtlExpired => no_connection("the time to live expired"),
            Error::ConnectionNotAllowedByRuleset => {
                write!(f, "its rules do not allow a connection to {target}")
            }
            Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => {
                f.write_str("it wants another login than none or that of its URL: correct the URL")
            }
            Error::PasswordAuthFailure(_) => {
                f.write_str("it does not accept the user and password of its URL: correct them")
            }
            Error::InvalidResponseVersion => f.write_str("expected SOCKS5, found something else"),
            error => write!(f, "SOCKS5: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskcluster_proxy_core::proxy::RootUrl;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What comes of a proxy that says this, each part after some word of the client's.
    async fn asked(login: Option<(&str, &str)>, says: &'static [&[u8]]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut proxy, _) = listener.accept().await.unwrap();
        let plays = tokio::spawn(async move {
            for part in says {
                assert_ne!(proxy.read(&mut [0; 1024]).await.unwrap(), 0);
                proxy.write_all(part).await.unwrap();
            }
        });
        let root_url = RootUrl::parse("http://tc.example.test:81").unwrap();
        let result = ask(tcp, &Origin::of_root_url(&root_url).unwrap(), login).await;
        plays.await.unwrap();
        result.map(drop).map_err(|error| {
            let kind = if error.is_permanent() { "lasting" } else { "passing" };
            format!("{kind}: {error}")
        })
    }

    #[tokio::test]
    async fn what_it_says_of_a_connection_is_told() {
        const OPEN: &[u8] = b"\x05\x00";
        let said = |says| asked(None, says);
        assert_eq!(said(&[OPEN, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"]).await, Ok(()));
        for (says, expected) in [
            (&[OPEN, b"\x05\x01\x00\x01"] as &[&[u8]], "passing: it has no connection to tc.exam"),
            (
                &[OPEN, b"\x05\x02\x00\x01"],
                "lasting: its rules do not allow a connection to tc.exa",
            ),
            (
                &[OPEN, b"\x05\x04\x00\x01"],
                "passing: it has no connection to tc.example.test:81: h",
            ),
            (
                &[OPEN, b"\x05\x05\x00\x01"],
                "passing: it has no connection to tc.example.test:81: c",
            ),
            (&[OPEN, b"\x05\x09\x00\x01"], "lasting: SOCKS5: "),
            (&[b"\x05\xff"], "lasting: it wants another login"),
            (&[b"\x05\x02"], "lasting: it wants another login"),
            (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "lasting: expected SOCKS5, found something"),
            (&[b"\x05"], "passing: "),
            (&[OPEN, b"\x05\x00\x00\x01\x7f"], "passing: "),
        ] {
            let reason = said(says).await.unwrap_err();
            assert!(reason.starts_with(expected), "{reason:?} is not {expected:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_never_repeated() {
        let login = Some(("user", "cAnArY"));
        let refusals: [&'static [&[u8]]; 3] =
            [&[b"\x05\x02", b"\x01\x01"], &[b"\x05\xff"], &[b"\x05\x01"]];
        for says in refusals {
            let reason = asked(login, says).await.unwrap_err();
            assert!(reason.starts_with("lasting: ") && !reason.contains("cAnArY"), "{reason}");
        }
        let long = "cAnArY".repeat(43);
        let reason = asked(Some(("user", &long)), &[]).await.unwrap_err();
        assert!(reason.starts_with("lasting: ") && !reason.contains("cAnArY"), "{reason}");
    }
}
