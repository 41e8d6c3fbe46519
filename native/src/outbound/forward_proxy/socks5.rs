//! A connection through a SOCKS5 proxy (RFC 1928, RFC 1929).

use crate::outbound::error::UpstreamError;
use crate::outbound::origin::Origin;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error, TargetAddr};
use url::Host;

/// Asks the SOCKS5 proxy at the end of `tcp` for a connection to `origin`, whose name it is to look up.
pub(in crate::outbound) async fn ask(
    tcp: TcpStream,
    origin: &Origin,
    login: Option<(&str, &str)>,
) -> Result<TcpStream, UpstreamError> {
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
    asked.map(Socks5Stream::into_inner).map_err(|error| failure(&error, origin))
}

fn failure(error: &Error, origin: &Origin) -> UpstreamError {
    let to = origin.host_and_port();
    let passing =
        |why: &str| UpstreamError::Connect(format!("it has no connection to {to}: {why}"));
    let lasting = |reason: &str| UpstreamError::Refused(reason.to_owned());
    match error {
        Error::Io(error) => UpstreamError::Connect(error.to_string()),
        Error::GeneralSocksServerFailure => passing("it does not say why"),
        Error::NetworkUnreachable => passing("network unreachable"),
        Error::HostUnreachable => passing("host unreachable"),
        Error::ConnectionRefused => passing("connection refused"),
        Error::TtlExpired => passing("the time to live expired"),
        Error::ConnectionNotAllowedByRuleset => {
            lasting(&format!("its rules do not allow a connection to {to}"))
        }
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => {
            lasting("it wants another login than none or that of its URL: correct the URL")
        }
        Error::PasswordAuthFailure(_) => {
            lasting("it does not accept the user and password of its URL: correct them")
        }
        Error::InvalidResponseVersion => lasting("expected SOCKS5, found something else"),
        error => lasting(&format!("SOCKS5: {error}")),
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
        result.map(drop).map_err(|error| match error {
            UpstreamError::Connect(reason) => format!("passing: {reason}"),
            UpstreamError::Refused(reason) => format!("lasting: {reason}"),
            error => panic!("{error:?}"),
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
