//! `--health`: checks that the proxy on this machine responds. A container image built from scratch
//! has no other program that could.

mod place;
mod tls;

pub use place::Listening;

use crate::inbound::TlsError;
use crate::os::stream::Stream;
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use place::Place;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Why the proxy is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// Nothing listens there.
    #[error("no connection to {place}: {reason}: is the proxy running, and is this its {option}?")]
    NoConnection {
        /// Where it was expected.
        place: String,
        /// What the system says.
        #[source]
        reason: io::Error,
        /// The option that says where the proxy listens.
        option: &'static str,
    },
    /// Something listens there and does not respond.
    #[error(
        "no response from {place} within {} s: {reason}: does --allowed-user keep this user out?",
        TIMEOUT.as_secs()
    )]
    NoResponse {
        /// From where.
        place: String,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// Another program than the proxy responds.
    #[error("expected a response with {VERSION_HEADER} from {0}, found one of another program")]
    OtherProgram(String),
    /// It responds with TLS where plain HTTP was expected.
    #[error("expected plain HTTP from {0}, found TLS: give the --tls-cert of the proxy, too")]
    SpeaksTls(String),
    /// It does not respond with TLS.
    #[error("expected TLS from {place}, found none: does the proxy have this --tls-cert?")]
    NoTls {
        /// From where.
        place: String,
        /// What is wrong with it.
        #[source]
        reason: rustls::Error,
    },
    /// It has another certificate: another program, or a proxy that did not load the new one.
    #[error(
        "expected the certificate of --tls-cert from {0}, found another one: is this the proxy's, or \
         does its log say why it stays with the old one?"
    )]
    OtherCertificate(String),
    /// The certificate to expect cannot be read.
    #[error(transparent)]
    Certificate(#[from] TlsError),
}

/// Checks the proxy at each place where it listens. Any response of the proxy will do: the services
/// behind it are not part of its health.
///
/// # Errors
///
/// At one of them there is no response within 3 s, or another program responds.
pub async fn check(listening: &Listening) -> Result<String, Unhealthy> {
    let deadline = Instant::now() + TIMEOUT;
    let places = listening.places();
    let mut version = String::new();
    for place in &places {
        version = version_when_settled(place, deadline).await?;
    }
    let places: Vec<_> = places.iter().map(Place::to_string).collect();
    Ok(format!("healthy: taskcluster-proxy {version} at {}", places.join(" and ")))
}

/// The proxy loads a new certificate only a moment later (`file_watch::PERIOD`), which is no reason
/// to restart it.
async fn version_when_settled(place: &Place, deadline: Instant) -> Result<String, Unhealthy> {
    loop {
        match version_at(place, deadline).await {
            Err(Unhealthy::OtherCertificate(_)) if Instant::now() + RETRY_INTERVAL < deadline => {
                sleep(RETRY_INTERVAL).await;
            }
            found => return found,
        }
    }
}

async fn version_at(place: &Place, deadline: Instant) -> Result<String, Unhealthy> {
    let connected = timeout_at(deadline, place.connect()).await;
    let stream = connected.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(|reason| {
        Unhealthy::NoConnection { place: place.to_string(), reason, option: place.option() }
    })?;
    let silent = |reason| Unhealthy::NoResponse { place: place.to_string(), reason };
    let checking = async {
        let stream = tls::secured(stream, place).await?;
        version_of(stream, place).await
    };
    timeout_at(deadline, checking).await.unwrap_or_else(|elapsed| Err(silent(elapsed.into())))
}

/// The version of the proxy at the other end of `stream`.
async fn version_of(stream: Stream, place: &Place) -> Result<String, Unhealthy> {
    let silent = |error: hyper::Error| Unhealthy::NoResponse {
        place: place.to_string(),
        reason: io::Error::other(error),
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    let host = HeaderValue::try_from(place.host()).unwrap_or(HeaderValue::from_static(""));
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEADER_SECTION);
    let (mut sender, mut connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(silent)?;
    let mut sending = pin!(sender.send_request(request));
    let response = poll_fn(|context| {
        // Its errors are returned with the response.
        let _ = Pin::new(&mut connection).poll(context);
        sending.as_mut().poll(context)
    })
    .await;
    match response {
        Ok(response) => {
            version(response.headers()).ok_or_else(|| Unhealthy::OtherProgram(place.to_string()))
        }
        Err(error) if error.is_parse() => {
            let received = connection.into_parts().read_buf;
            Err(match received.first() {
                Some(&tls::ALERT) => Unhealthy::SpeaksTls(place.to_string()),
                _ => Unhealthy::OtherProgram(place.to_string()),
            })
        }
        Err(error) => Err(silent(error)),
    }
}

fn version(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(VERSION_HEADER)?.to_str().ok()?.to_owned())
}

const VERSION_HEADER: &str = "X-Taskcluster-Proxy-Version";

/// Docker and Kubernetes consider a check that takes much longer failed by default.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Between two checks of a certificate that is not the expected one.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The largest header section that is read, in bytes. The proxy's own are smaller, unless the
/// credentials have very many scopes.
const MAX_HEADER_SECTION: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::Listen;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Checks a server that sends `response` to any request and closes the connection.
    async fn checked(response: &'static str) -> Result<String, Unhealthy> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let listen = Some(Listen { address: Some(address.ip()), port: address.port() });
        let serving = async {
            let (mut client, _) = server.accept().await.unwrap();
            assert!(client.read(&mut [0; 1024]).await.unwrap() > 0);
            client.write_all(response.as_bytes()).await.unwrap();
        };
        let listening = Listening { listen, ..Listening::default() };
        tokio::join!(check(&listening), serving).0
    }

    #[tokio::test]
    async fn any_response_of_the_proxy_will_do() {
        let healthy =
            checked("HTTP/1.1 404 Not Found\r\nx-taskcluster-proxy-version: 1.2.3\r\n\r\n");
        let healthy = healthy.await.unwrap();
        assert!(healthy.starts_with("healthy: taskcluster-proxy 1.2.3 at 127.0.0.1:"), "{healthy}");
    }

    #[tokio::test]
    async fn other_programs_are_not_the_proxy() {
        for response in
            ["HTTP/1.1 200 OK\r\nServer: x\r\n\r\nX-Taskcluster-Proxy-Version: 1", "nonsense"]
        {
            assert!(
                matches!(checked(response).await, Err(Unhealthy::OtherProgram(_))),
                "{response}"
            );
        }
        assert!(matches!(checked("").await, Err(Unhealthy::NoResponse { .. })));
        let alert = "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{46}";
        assert!(matches!(checked(alert).await, Err(Unhealthy::SpeaksTls(_))));
    }
}
