//! `--health`: asks the proxy that runs on this machine for a sign of life. An image from scratch has
//! no other program that could.

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

/// Why the proxy is taken for ill.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unhealthy {
    /// Nobody listens.
    #[error("no connection to {place}: {reason}: is the proxy running, and is this its {option}?")]
    NoConnection {
        /// Where.
        place: String,
        /// What the system says.
        #[source]
        reason: io::Error,
        /// The option that says where the proxy listens.
        option: &'static str,
    },
    /// Somebody listens, and says too little.
    #[error(
        "no answer from {place} within {} s: {reason}: does --allowed-user keep this user out?",
        PATIENCE.as_secs()
    )]
    NoAnswer {
        /// Who.
        place: String,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// Somebody answers who is not the proxy.
    #[error("expected an answer with {VERSION_HEADER} from {0}, found one of another program")]
    Stranger(String),
    /// Plain HTTP is not what is spoken there.
    #[error("expected plain HTTP from {0}, found TLS: give the --tls-cert of the proxy, too")]
    SpeaksTls(String),
    /// TLS is not what is spoken there.
    #[error(
        "expected TLS from {place}, found none: {reason}: does the proxy have this --tls-cert?"
    )]
    NoTls {
        /// Who.
        place: String,
        /// What is wrong with it.
        #[source]
        reason: rustls::Error,
    },
    /// Somebody who has another certificate, or the proxy that did not take over a new one.
    #[error(
        "expected the certificate of --tls-cert from {0}, found another one: is this the proxy's, or \
         does its log say why it stays with the old one?"
    )]
    OtherCertificate(String),
    /// There is no certificate to expect.
    #[error(transparent)]
    Certificate(#[from] TlsError),
}

/// Asks the proxy that listens like this, wherever it does. Any answer of its own will do: whether the
/// services behind it are well is not its health.
///
/// # Errors
///
/// Somewhere nobody answers within 3 s, or another program does.
pub async fn ask(listening: &Listening) -> Result<String, Unhealthy> {
    let deadline = Instant::now() + PATIENCE;
    let places = listening.places();
    let mut version = String::new();
    for place in &places {
        version = settled(place, deadline).await?;
    }
    let places: Vec<_> = places.iter().map(Place::to_string).collect();
    Ok(format!("healthy: taskcluster-proxy {version} at {}", places.join(" and ")))
}

/// A new certificate takes the proxy a moment to notice (`file::PERIOD`): not a reason to restart it.
async fn settled(place: &Place, deadline: Instant) -> Result<String, Unhealthy> {
    loop {
        match version_at(place, deadline).await {
            Err(Unhealthy::OtherCertificate(_)) if Instant::now() + PAUSE < deadline => {
                sleep(PAUSE).await;
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
    let silent = |reason| Unhealthy::NoAnswer { place: place.to_string(), reason };
    let asking = async {
        let stream = tls::secured(stream, place).await?;
        version_of(stream, place).await
    };
    timeout_at(deadline, asking).await.unwrap_or_else(|elapsed| Err(silent(elapsed.into())))
}

/// The version that a proxy at the other end of `stream` says it has.
async fn version_of(stream: Stream, place: &Place) -> Result<String, Unhealthy> {
    let silent = |error: hyper::Error| Unhealthy::NoAnswer {
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
        // Its errors come with the response.
        let _ = Pin::new(&mut connection).poll(context);
        sending.as_mut().poll(context)
    })
    .await;
    match response {
        Ok(response) => {
            version(response.headers()).ok_or_else(|| Unhealthy::Stranger(place.to_string()))
        }
        Err(error) if error.is_parse() => {
            let received = connection.into_parts().read_buf;
            Err(match received.first() {
                Some(&tls::ALERT) => Unhealthy::SpeaksTls(place.to_string()),
                _ => Unhealthy::Stranger(place.to_string()),
            })
        }
        Err(error) => Err(silent(error)),
    }
}

fn version(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(VERSION_HEADER)?.to_str().ok()?.to_owned())
}

const VERSION_HEADER: &str = "X-Taskcluster-Proxy-Version";

/// Docker and Kubernetes count what takes longer as failed by default, or soon after.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at a certificate that is not the one expected.
const PAUSE: Duration = Duration::from_millis(500);

/// The largest header section that is read, in bytes. The proxy's own are smaller, unless the credentials
/// have very many scopes.
const MAX_HEADER_SECTION: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::Listen;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Asks a server that answers `answer`, whatever it is asked, and hangs up.
    async fn asked(answer: &'static str) -> Result<String, Unhealthy> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let listen = Some(Listen { address: Some(address.ip()), port: address.port() });
        let answers = async {
            let (mut client, _) = server.accept().await.unwrap();
            assert!(client.read(&mut [0; 1024]).await.unwrap() > 0);
            client.write_all(answer.as_bytes()).await.unwrap();
        };
        let listening = Listening { listen, ..Listening::default() };
        tokio::join!(ask(&listening), answers).0
    }

    #[tokio::test]
    async fn any_answer_of_the_proxy_will_do() {
        let healthy = asked("HTTP/1.1 404 Not Found\r\nx-taskcluster-proxy-version: 1.2.3\r\n\r\n");
        let healthy = healthy.await.unwrap();
        assert!(healthy.starts_with("healthy: taskcluster-proxy 1.2.3 at 127.0.0.1:"), "{healthy}");
    }

    #[tokio::test]
    async fn others_are_not_the_proxy() {
        for answer in
            ["HTTP/1.1 200 OK\r\nServer: x\r\n\r\nX-Taskcluster-Proxy-Version: 1", "nonsense"]
        {
            assert!(matches!(asked(answer).await, Err(Unhealthy::Stranger(_))), "{answer}");
        }
        assert!(matches!(asked("").await, Err(Unhealthy::NoAnswer { .. })));
        let alert = "\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{46}";
        assert!(matches!(asked(alert).await, Err(Unhealthy::SpeaksTls(_))));
    }
}
