//! A connection to an upstream: DNS, TCP, a proxy on the way where the environment names one, TLS,
//! and the start of HTTP.

use super::answer_first::AnswerFirst;
use super::error::{SendError, explain, find};
use super::pool::{Sender, Via};
use super::replay::Attempt;
use super::resolve::Resolver;
use super::tls;
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

/// hyper's buffer for one connection, in bytes. Larger ones let a fast download pile up in memory
/// (hyper's default peaked at hundreds of MiB) and save no time; this is 64 KiB and room for a head,
/// so that an answer of that size is read and written at once.
pub(crate) const BUFFER: usize = 72 * 1024;

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
pub(super) struct Connected {
    pub(super) sender: Sender,
    /// Where it leads to a plain HTTP proxy.
    pub(super) via: Option<Via>,
    /// What drives the connection, where nobody else shares it.
    pub(super) task: Option<AbortHandle>,
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

    /// Connects to the host of `uri`.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Connected, SendError> {
        tokio::time::timeout(self.timeout, self.connect_without_limit(uri))
            .await
            .unwrap_or(Err(SendError::ConnectTimeout(self.timeout)))
    }

    async fn connect_without_limit(&self, uri: &Uri) -> Result<Connected, SendError> {
        let secure = is_https(uri);
        match self.proxy_for(uri) {
            None => {
                let tcp = tcp(&self.tcp, uri).await?;
                if secure {
                    self.start_tls(uri, tcp).await
                } else {
                    start_http1(tcp.into_inner()).await
                }
            }
            Some(proxy) => {
                expect_http(proxy.uri())?;
                let tcp = tcp(&self.to_proxies, proxy.uri()).await?;
                let authorization = proxy.basic_auth().cloned();
                if !secure {
                    let connected = start_http1(tcp.into_inner()).await?;
                    return Ok(Connected { via: Some(Via { authorization }), ..connected });
                }
                self.start_tls(uri, tunnel(uri, tcp, authorization).await?).await
            }
        }
    }

    /// As for the Go program, loopback addresses are reached directly, whatever the environment.
    fn proxy_for(&self, uri: &Uri) -> Option<Intercept> {
        let host = uri.host()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if loopback { None } else { self.proxies.intercept(uri) }
    }

    async fn start_tls<I>(&self, uri: &Uri, io: I) -> Result<Connected, SendError>
    where
        I: Read + Write + Send + Unpin + 'static,
    {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| SendError::Refused(format!("{host:?} is no name that TLS knows")))?;
        let config = self.tls.get_or_try_init(load_tls).await?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, TokioIo::new(io)).await.map_err(|error| {
            let reason = format!("TLS: {}", explain(&error));
            // A certificate that does not hold will not hold the next time either.
            match find::<rustls::Error>(&error) {
                Some(rustls::Error::InvalidCertificate(_)) => SendError::Refused(reason),
                _ => SendError::Connect(reason),
            }
        })?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            start_http2(TokioIo::new(stream)).await
        } else {
            start_http1(stream).await
        }
    }
}

async fn tcp(
    connector: &HttpConnector<Resolver>,
    uri: &Uri,
) -> Result<TokioIo<TcpStream>, SendError> {
    connector.clone().call(uri.clone()).await.map_err(|error| match find::<HostError>(&error) {
        Some(refused) => SendError::Host(refused.clone()),
        None => SendError::Connect(explain(&error)),
    })
}

/// TLS is not spoken with proxies: what one with another URL gets to see, its password included, would
/// go there in the clear.
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

fn expect_http(proxy: &Uri) -> Result<(), SendError> {
    match proxy.scheme_str() {
        Some("http") => Ok(()),
        scheme => Err(SendError::Refused(format!(
            "expected a proxy with an http URL in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, found {}",
            scheme.unwrap_or_default()
        ))),
    }
}

/// Whether TLS is spoken with the host of `uri`.
fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

async fn load_tls() -> Result<Arc<ClientConfig>, SendError> {
    tokio::task::spawn_blocking(tls::client_config)
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?
        .map_err(|error| SendError::Refused(error.to_string()))
}

async fn start_http1<I>(io: I) -> Result<Connected, SendError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake::<_, Attempt>(TokioIo::new(AnswerFirst::new(io)))
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?;
    // Its errors reach whoever waits for an answer.
    let task = tokio::spawn(async { drop(connection.await) }).abort_handle();
    Ok(Connected { sender: Sender::Http1(sender), via: None, task: Some(task) })
}

async fn start_http2<I>(io: I) -> Result<Connected, SendError>
where
    I: Read + Write + Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Attempt>(io)
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?;
    tokio::spawn(async { drop(connection.await) });
    Ok(Connected { sender: Sender::Http2(sender), via: None, task: None })
}

/// Asks an HTTP proxy for a tunnel to the host of `uri` (RFC 9110 section 9.3.6).
async fn tunnel(
    uri: &Uri,
    io: TokioIo<TcpStream>,
    authorization: Option<HeaderValue>,
) -> Result<hyper::upgrade::Upgraded, SendError> {
    let failed = |error: &hyper::Error| SendError::Connect(format!("proxy: {}", explain(error)));
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
    tokio::spawn(async { drop(connection.with_upgrades().await) });
    let authority = match uri.port_u16() {
        Some(port) => format!("{}:{port}", uri.host().unwrap_or_default()),
        None => format!("{}:443", uri.host().unwrap_or_default()),
    };
    let mut request = Request::connect(&authority)
        .header(http::header::HOST, &authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| SendError::Refused(error.to_string()))?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
    }
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if !answer.status().is_success() {
        let status = answer.status();
        return Err(SendError::Refused(format!(
            "the proxy answered CONNECT {authority} with {status}"
        )));
    }
    hyper::upgrade::on(answer).await.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_find_out_when_the_other_side_is_gone() {
        let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", upstream.local_addr().unwrap()).parse().unwrap();
        let connector = Connector::new(Duration::from_secs(10), Arc::default()).unwrap();
        let Ok(stream) = tcp(&connector.tcp, &uri).await.map(TokioIo::into_inner) else {
            panic!("no connection");
        };
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
