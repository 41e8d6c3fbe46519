//! `--health`: checks that the proxy on this machine responds. The program does it itself, because a
//! container image built from scratch has no other program for it.

mod endpoint;
mod tls;

pub use endpoint::Listening;

use crate::inbound::TlsError;
use crate::os::stream::Stream;
use bytes::Bytes;
use endpoint::Endpoint;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Why the proxy is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// The connection was not accepted.
    #[error(
        "no connection to {endpoint}: {reason}: is the proxy running, and is this its {option}?"
    )]
    NoConnection {
        /// The endpoint to which the connection was made.
        endpoint: String,
        /// The error of the system.
        #[source]
        reason: io::Error,
        /// The option that determines the endpoint.
        option: &'static str,
    },
    /// The connection was accepted, but there was no response.
    #[error(
        "no response from {endpoint} within {} s: {reason}: does --allowed-user exclude this user?",
        TIMEOUT.as_secs()
    )]
    NoResponse {
        /// The endpoint.
        endpoint: String,
        /// The error of the system.
        #[source]
        reason: io::Error,
    },
    /// Another program responded.
    #[error("expected a response with {VERSION_HEADER} from {0}, found one of another program")]
    OtherProgram(String),
    /// The response is TLS, where plain HTTP was expected.
    #[error("expected plain HTTP from {0}, found TLS: give the --tls-cert of the proxy as well")]
    SpeaksTls(String),
    /// The response is not TLS.
    #[error("expected TLS from {endpoint}, found none: does the proxy have this --tls-cert?")]
    NoTls {
        /// The endpoint.
        endpoint: String,
        /// The error of the handshake.
        #[source]
        reason: rustls::Error,
    },
    /// The certificate is another one: of another program, or of a proxy that did not load the new one.
    #[error(
        "expected the certificate of --tls-cert from {0}, found another one: is it the proxy's \
         certificate, or does its log say why it still uses the previous one?"
    )]
    OtherCertificate(String),
    /// The expected certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] TlsError),
}

/// Checks the proxy at each endpoint on which it listens. Any response of the proxy counts: whether the
/// upstreams respond is not part of its health.
///
/// # Errors
///
/// There is no response from an endpoint within 3 s, or another program responds.
pub async fn check(listening: &Listening) -> Result<String, Unhealthy> {
    let deadline = Instant::now() + TIMEOUT;
    let endpoints = listening.endpoints();
    let mut version = String::new();
    for endpoint in &endpoints {
        version = version_with_retries(endpoint, deadline).await?;
    }
    let endpoints: Vec<_> = endpoints.iter().map(Endpoint::to_string).collect();
    Ok(format!("healthy: taskcluster-proxy {version} at {}", endpoints.join(" and ")))
}

/// The version of the proxy at `endpoint`. Another certificate than expected is checked again, because the
/// proxy loads a new one only after a delay (`file_watch::PERIOD`), for which it need not be restarted.
async fn version_with_retries(endpoint: &Endpoint, deadline: Instant) -> Result<String, Unhealthy> {
    loop {
        match version_at(endpoint, deadline).await {
            Err(Unhealthy::OtherCertificate(_)) if Instant::now() + RETRY_INTERVAL < deadline => {
                sleep(RETRY_INTERVAL).await;
            }
            found => return found,
        }
    }
}

async fn version_at(endpoint: &Endpoint, deadline: Instant) -> Result<String, Unhealthy> {
    let connected = timeout_at(deadline, endpoint.connect()).await;
    let stream = connected.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(|reason| {
        Unhealthy::NoConnection {
            endpoint: endpoint.to_string(),
            reason,
            option: endpoint.option(),
        }
    })?;
    let silent = |reason| Unhealthy::NoResponse { endpoint: endpoint.to_string(), reason };
    let checking = async {
        let stream = tls::start_tls(stream, endpoint).await?;
        version_of(stream, endpoint).await
    };
    timeout_at(deadline, checking).await.unwrap_or_else(|elapsed| Err(silent(elapsed.into())))
}

/// The version of the proxy at the other end of `stream`.
async fn version_of(stream: Stream, endpoint: &Endpoint) -> Result<String, Unhealthy> {
    let silent = |error: hyper::Error| Unhealthy::NoResponse {
        endpoint: endpoint.to_string(),
        reason: io::Error::other(error),
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    let host = HeaderValue::try_from(endpoint.host()).unwrap_or(HeaderValue::from_static(""));
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEADER_SECTION);
    let (mut sender, mut connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(silent)?;
    let mut sending = pin!(sender.send_request(request));
    let response = poll_fn(|context| {
        // Errors of the connection are returned with the response.
        let _ = Pin::new(&mut connection).poll(context);
        sending.as_mut().poll(context)
    })
    .await;
    match response {
        Ok(response) => {
            version(response.headers()).ok_or_else(|| Unhealthy::OtherProgram(endpoint.to_string()))
        }
        Err(error) if error.is_parse() => {
            let received = connection.into_parts().read_buf;
            Err(match received.first() {
                Some(&tls::ALERT) => Unhealthy::SpeaksTls(endpoint.to_string()),
                _ => Unhealthy::OtherProgram(endpoint.to_string()),
            })
        }
        Err(error) => Err(silent(error)),
    }
}

fn version(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(VERSION_HEADER)?.to_str().ok()?.to_owned())
}

const VERSION_HEADER: &str = "X-Taskcluster-Proxy-Version";

/// The timeout of the check. Docker and Kubernetes by default consider a check that takes much longer failed.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The interval between two checks of a certificate that is not the expected one.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The maximum size of a header section, in bytes. The proxy's are smaller.
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
    async fn any_response_of_the_proxy_is_healthy() {
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
