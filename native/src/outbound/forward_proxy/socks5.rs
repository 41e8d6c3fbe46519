//! Connects through a SOCKS5 proxy (RFC 1928, RFC 1929).

use crate::outbound::origin::Origin;
use std::fmt;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error, TargetAddr};
use url::Host;

/// Why a SOCKS5 proxy did not make a connection.
#[derive(Debug)]
pub struct Socks5Failure {
    /// The host and port of the requested connection.
    target: String,
    reason: Error,
}

impl std::error::Error for Socks5Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Requests a connection to `origin` from the SOCKS5 proxy to which `tcp` is connected. The proxy resolves
/// the host name.
pub(in crate::outbound) async fn connect(
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
    let connected = match login {
        // The proxy may choose to require no authentication nevertheless.
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(tcp, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(tcp, target).await,
    };
    connected
        .map(Socks5Stream::into_inner)
        .map_err(|reason| Socks5Failure { target: origin.host_and_port(), reason })
}

impl Socks5Failure {
    /// Whether another attempt would fail for the same reason.
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

/// The message contains neither the login nor the text of `PasswordAuthFailure`.
impl fmt::Display for Socks5Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        let mut no_connection = |why| write!(f, "it cannot connect to {target}: {why}");
        match &self.reason {
            Error::Io(error) => error.fmt(f),
            Error::GeneralSocksServerFailure => no_connection("no reason given"),
            Error::NetworkUnreachable => no_connection("network unreachable"),
            Error::HostUnreachable => no_connection("host unreachable"),
            Error::ConnectionRefused => no_connection("connection refused"),
            Error::TtlExpired => no_connection("the time to live expired"),
            Error::ConnectionNotAllowedByRuleset => {
                write!(f, "its rules do not allow a connection to {target}")
            }
            Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => f.write_str(
                "it requires a login, or another one than that of its URL: correct the URL",
            ),
            Error::PasswordAuthFailure(_) => {
                f.write_str("it does not accept the user and password of its URL: correct them")
            }
            // For unknown codes of both.
            Error::UnknownAuthMethod => f.write_str(
                "it chose another way to log in than was offered, or sent an unknown reply",
            ),
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

    /// Connects through a proxy that sends one of `messages` after each message of the client.
    async fn connect_with(
        login: Option<(&str, &str)>,
        messages: &'static [&[u8]],
    ) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut proxy, _) = listener.accept().await.unwrap();
        let serving = tokio::spawn(async move {
            for message in messages {
                assert_ne!(proxy.read(&mut [0; 1024]).await.unwrap(), 0);
                proxy.write_all(message).await.unwrap();
            }
        });
        let root_url = RootUrl::parse("http://tc.example.test:81").unwrap();
        let result = connect(tcp, &Origin::of_root_url(&root_url).unwrap(), login).await;
        serving.await.unwrap();
        result.map(drop).map_err(|error| {
            let kind = if error.is_permanent() { "permanent" } else { "temporary" };
            format!("{kind}: {error}")
        })
    }

    #[tokio::test]
    async fn errors_of_the_proxy_are_reported() {
        const NO_AUTHENTICATION: &[u8] = b"\x05\x00";
        let connect = |messages| connect_with(None, messages);
        let success = &[NO_AUTHENTICATION, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"];
        assert_eq!(connect(success).await, Ok(()));
        for (messages, expected) in [
            (
                &[NO_AUTHENTICATION, b"\x05\x01\x00\x01"] as &[&[u8]],
                "temporary: it cannot connect to tc.example.test:81: no reason",
            ),
            (
                &[NO_AUTHENTICATION, b"\x05\x02\x00\x01"],
                "permanent: its rules do not allow a connection to tc.exa",
            ),
            (
                &[NO_AUTHENTICATION, b"\x05\x04\x00\x01"],
                "temporary: it cannot connect to tc.example.test:81: host",
            ),
            (
                &[NO_AUTHENTICATION, b"\x05\x05\x00\x01"],
                "temporary: it cannot connect to tc.example.test:81: conn",
            ),
            (
                &[NO_AUTHENTICATION, b"\x05\x09\x00\x01"],
                "permanent: it chose another way to log in than was offered, or sent an unknown",
            ),
            (&[b"\x05\xff"], "permanent: it requires a login"),
            (&[b"\x05\x02"], "permanent: it requires a login"),
            (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "permanent: expected SOCKS5, found something"),
            (&[b"\x05"], "temporary: "),
            (&[NO_AUTHENTICATION, b"\x05\x00\x00\x01\x7f"], "temporary: "),
        ] {
            let reason = connect(messages).await.unwrap_err();
            assert!(reason.starts_with(expected), "{reason:?} is not {expected:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_never_repeated() {
        let login = Some(("user", "cAnArY"));
        let refusals: [&'static [&[u8]]; 3] =
            [&[b"\x05\x02", b"\x01\x01"], &[b"\x05\xff"], &[b"\x05\x01"]];
        for messages in refusals {
            let reason = connect_with(login, messages).await.unwrap_err();
            assert!(reason.starts_with("permanent: ") && !reason.contains("cAnArY"), "{reason}");
        }
        let long = "cAnArY".repeat(43);
        let reason = connect_with(Some(("user", &long)), &[]).await.unwrap_err();
        assert!(reason.starts_with("permanent: ") && !reason.contains("cAnArY"), "{reason}");
    }
}
