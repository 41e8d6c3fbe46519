//! A connection to an upstream: DNS, TCP, a proxy on the way where the environment names one, TLS,
//! and the start of HTTP.

use super::error::{SendError, explain, find};
use super::http2::{Opener, Upload};
use super::link::Via;
use super::origin::Origin;
use super::resolve::Resolver;
use super::tls;
use crate::http1::{Framing, Stream, Wire};
use http::{HeaderValue, Uri};
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::{TlsConnector, TlsStream};
use tower_service::Service as _;

/// After so much silence TCP asks whether the other side is still there, and so often again. There
/// is no other end to the wait for an answer from a machine that went away without a word, or for a
/// client that did. The Go program's figure.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    to_proxies: HttpConnector<Resolver>,
    proxies: Matcher,
    /// Made when it is first needed: a proxy whose root URL is plain http never reads roots.
    tls: OnceCell<Arc<ClientConfig>>,
    timeout: Duration,
}

/// A variable that is to name a proxy, and does not. Its value may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: expected the URL of a proxy, such as http://proxy.example.com:3128, found something else"
)]
pub struct ProxyVariable(&'static str);

/// As curl has them.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A new connection.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) protocol: Protocol,
    /// Where it leads to a plain HTTP proxy.
    pub(super) via: Option<Via>,
}

/// What is spoken on a connection.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are of HTTP/1.1; how large they are differs by system"
)]
pub(super) enum Protocol {
    Http1(Wire),
    /// Of which streams are opened, many at a time.
    Http2(Opener),
}

impl Connector {
    /// DNS, TCP, TLS and an HTTP proxy on the way have `timeout` together. Hosts are where `policy`
    /// lets requests go; what a proxy on the way makes of a name is the proxy's affair.
    ///
    /// # Errors
    ///
    /// A variable of the environment is to name a proxy, and does not.
    pub(super) fn new(timeout: Duration, policy: Arc<HostPolicy>) -> Result<Self, ProxyVariable> {
        if let Some(variable) = PROXY_VARIABLES.into_iter().find(|name| names_no_proxy(name)) {
            return Err(ProxyVariable(variable));
        }
        let [tcp, to_proxies] =
            [Resolver::guarded(policy), Resolver::unguarded()].map(|resolver| {
                let mut tcp = HttpConnector::new_with_resolver(resolver);
                tcp.enforce_http(false);
                tcp.set_nodelay(true);
                tcp.set_keepalive(Some(KEEPALIVE));
                tcp.set_keepalive_interval(Some(KEEPALIVE));
                tcp
            });
        Ok(Self { tcp, to_proxies, proxies: Matcher::from_env(), tls: OnceCell::new(), timeout })
    }

    /// Connects to `origin`.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Connected, SendError> {
        tokio::time::timeout(self.timeout, self.connect_without_limit(origin))
            .await
            .unwrap_or(Err(SendError::ConnectTimeout(self.timeout)))
    }

    async fn connect_without_limit(&self, origin: &Origin) -> Result<Connected, SendError> {
        let uri: Uri = origin
            .as_str()
            .parse()
            .map_err(|error| SendError::Refused(format!("{}: {error}", origin.as_str())))?;
        let Some(proxy) = self.proxy_for(&uri, origin) else {
            let tcp = tcp(&self.tcp, &uri).await?;
            let protocol = match origin.is_secure() {
                true => self.start_tls(origin, tcp).await?,
                false => Protocol::Http1(Wire::new(Stream::Tcp(tcp))),
            };
            return Ok(Connected { protocol, via: None });
        };
        expect_http(proxy.uri())?;
        let tcp = tcp(&self.to_proxies, proxy.uri()).await?;
        let authorization = proxy.basic_auth().cloned();
        if !origin.is_secure() {
            let protocol = Protocol::Http1(Wire::new(Stream::Tcp(tcp)));
            return Ok(Connected { protocol, via: Some(Via { authorization }) });
        }
        let tunnel = tunnel(origin, tcp, authorization).await?;
        Ok(Connected { protocol: self.start_tls(origin, tunnel).await?, via: None })
    }

    /// As for the Go program, loopback addresses are reached directly, whatever the environment.
    fn proxy_for(&self, uri: &Uri, origin: &Origin) -> Option<Intercept> {
        let host = origin.bare_host();
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if loopback { None } else { self.proxies.intercept(uri) }
    }

    async fn start_tls(&self, origin: &Origin, tcp: TcpStream) -> Result<Protocol, SendError> {
        let host = origin.bare_host();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| SendError::Refused(format!("{host:?} is no name that TLS knows")))?;
        let config = self.tls.get_or_try_init(load_tls).await?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, tcp).await.map_err(|error| {
            let reason = format!("TLS: {}", explain(&error));
            // Not by source(), which is that of the error within.
            match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    let reason = tls::in_words(why).map_or(reason, |words| format!("TLS: {words}"));
                    SendError::Untrusted(reason)
                }
                _ => SendError::Connect(reason),
            }
        })?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return start_http2(TlsStream::Client(stream)).await;
        }
        Ok(Protocol::Http1(Wire::new(Stream::Tls(Box::new(TlsStream::Client(stream))))))
    }
}

async fn tcp(connector: &HttpConnector<Resolver>, uri: &Uri) -> Result<TcpStream, SendError> {
    let connected = connector.clone().call(uri.clone()).await;
    connected.map(TokioIo::into_inner).map_err(|error| match find::<HostError>(&error) {
        Some(refused) => SendError::Host(refused.clone()),
        None => SendError::Connect(explain(&error)),
    })
}

/// The matcher passes over what it cannot read, and requests would go past the proxy.
fn names_no_proxy(variable: &str) -> bool {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return false;
    };
    let any = Uri::from_static("http://host.example");
    value
        .to_str()
        .is_none_or(|value| Matcher::builder().all(value).build().intercept(&any).is_none())
}

/// TLS is not spoken with proxies: what one with another URL gets to see, its password included, would
/// go there in the clear.
fn expect_http(proxy: &Uri) -> Result<(), SendError> {
    match proxy.scheme_str() {
        Some("http") => Ok(()),
        scheme => Err(SendError::Refused(format!(
            "expected a proxy with an http URL in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, found {}",
            scheme.unwrap_or_default()
        ))),
    }
}

async fn load_tls() -> Result<Arc<ClientConfig>, SendError> {
    tokio::task::spawn_blocking(tls::client_config)
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?
        .map_err(|error| SendError::Refused(error.to_string()))
}

async fn start_http2(stream: TlsStream<TcpStream>) -> Result<Protocol, SendError> {
    let (opener, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Upload>(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?;
    // Its errors reach whoever waits for an answer.
    tokio::spawn(async { drop(connection.await) });
    Ok(Protocol::Http2(opener))
}

/// Asks an HTTP proxy for a tunnel to `origin` (RFC 9110 section 9.3.6).
async fn tunnel(
    origin: &Origin,
    tcp: TcpStream,
    authorization: Option<HeaderValue>,
) -> Result<TcpStream, SendError> {
    let failed = |error: &dyn std::fmt::Display| SendError::Connect(format!("proxy: {error}"));
    let authority = format!("{}:{}", origin.host(), origin.port());
    let mut wire = Wire::new(Stream::Tcp(tcp));
    let head = wire.begin(Framing::Empty);
    let start = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    head.extend_from_slice(start.as_bytes());
    if let Some(authorization) = authorization {
        let parts = [b"Proxy-Authorization: ", authorization.as_bytes(), b"\r\n"];
        head.extend_from_slice(&parts.concat());
    }
    head.extend_from_slice(b"\r\n");
    poll_fn(|context| wire.poll_flush(context)).await.map_err(|error| failed(&error))?;
    let answer = loop {
        // What an answer to CONNECT says of a body counts for nothing (RFC 9110 section 9.3.6).
        let answer = poll_fn(|context| wire.poll_answer(context, true)).await;
        let answer = answer.map_err(|error| failed(&error))?;
        if answer.status >= 200 {
            break answer;
        }
    };
    match (answer.status, wire.into_stream()) {
        (200..=299, Some(Stream::Tcp(tcp))) => Ok(tcp),
        (200..=299, _) => Err(failed(&"more than an answer to CONNECT came")),
        (status, _) => {
            let reason = answer.reason;
            let reason = format!("the proxy answered CONNECT {authority} with {status} {reason}");
            Err(SendError::Refused(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_find_out_when_the_other_side_is_gone() {
        let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
        let connector = Connector::new(Duration::from_secs(10), Arc::default()).unwrap();
        let Ok(stream) = tcp(&connector.tcp, &uri).await else {
            panic!("no connection");
        };
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
