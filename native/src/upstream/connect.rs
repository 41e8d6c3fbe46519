//! A connection to an upstream: DNS, TCP, a proxy on the way where the environment names one, TLS,
//! and the start of HTTP.

use super::error::{SendError, explain, find};
use super::http2::{Opener, Upload};
use super::link::Via;
use super::origin::Origin;
use super::proxies::{self, ForwardProxy, Kind, Proxies, ProxyVariable};
use super::resolve::Resolver;
use super::tls::{self, Alpn, ClientConfigs};
use crate::http1::{Stream, Wire};
use http::Uri;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
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
    proxies: Proxies,
    /// Made when they are first needed: a proxy whose root URL is plain http never reads roots.
    tls: OnceCell<ClientConfigs>,
    timeout: Duration,
}

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
    /// DNS, TCP, TLS and a proxy on the way have `timeout` together. Hosts are where `policy`
    /// lets requests go; what a proxy on the way makes of a name is the proxy's affair.
    ///
    /// # Errors
    ///
    /// A variable of the environment is to name a proxy, and does not.
    pub(super) fn new(timeout: Duration, policy: Arc<HostPolicy>) -> Result<Self, ProxyVariable> {
        let proxies = Proxies::from_env()?;
        let [tcp, to_proxies] =
            [Resolver::guarded(policy), Resolver::unguarded()].map(|resolver| {
                let mut tcp = HttpConnector::new_with_resolver(resolver);
                tcp.enforce_http(false);
                tcp.set_nodelay(true);
                tcp.set_keepalive(Some(KEEPALIVE));
                tcp.set_keepalive_interval(Some(KEEPALIVE));
                tcp
            });
        Ok(Self { tcp, to_proxies, proxies, tls: OnceCell::new(), timeout })
    }

    pub(super) fn proxy_on_the_way_to(&self, origin: &Origin) -> Option<ForwardProxy> {
        self.proxies.on_the_way_to(origin)
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
        let (stream, via) = match self.proxy_on_the_way_to(origin) {
            None => (Stream::Tcp(tcp(&self.tcp, &uri).await?), None),
            Some(proxy) => {
                let through = self.through(&proxy, origin).await;
                through.map_err(|error| error.of_proxy(&proxy))?
            }
        };
        let protocol = match origin.is_secure() {
            false => Protocol::Http1(Wire::new(stream)),
            true => {
                let config = &self.tls().await?.to_upstreams;
                match tls::start(config, origin.bare_host(), stream).await? {
                    (stream, Alpn::Http2) => start_http2(stream).await?,
                    (stream, Alpn::Http1) => Protocol::Http1(Wire::new(stream)),
                }
            }
        };
        Ok(Connected { protocol, via })
    }

    /// A connection through `proxy`, on which what comes next is for `origin`.
    async fn through(
        &self,
        proxy: &ForwardProxy,
        origin: &Origin,
    ) -> Result<(Stream, Option<Via>), SendError> {
        let tcp = tcp(&self.to_proxies, proxy.uri()).await?;
        let stream = match proxy.kind() {
            Kind::Socks5 => {
                let tcp = proxies::ask_socks5(tcp, origin, proxy.login()).await?;
                return Ok((Stream::Tcp(tcp), None));
            }
            Kind::Http => Stream::Tcp(tcp),
            Kind::Https => {
                let config = &self.tls().await?.to_proxies;
                tls::start(config, proxy.bare_host(), Stream::Tcp(tcp)).await?.0
            }
        };
        let authorization = proxy.authorization();
        match origin.is_secure() {
            false => Ok((stream, Some(Via { authorization }))),
            true => Ok((proxies::ask_tunnel(stream, origin, authorization).await?, None)),
        }
    }

    async fn tls(&self) -> Result<&ClientConfigs, SendError> {
        self.tls.get_or_try_init(load_tls).await
    }
}

async fn tcp(connector: &HttpConnector<Resolver>, uri: &Uri) -> Result<TcpStream, SendError> {
    let connected = connector.clone().call(uri.clone()).await;
    connected.map(TokioIo::into_inner).map_err(|error| match find::<HostError>(&error) {
        Some(refused) => SendError::Host(refused.clone()),
        None => SendError::Connect(explain(&error)),
    })
}

async fn load_tls() -> Result<ClientConfigs, SendError> {
    tokio::task::spawn_blocking(ClientConfigs::load)
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?
        .map_err(|error| SendError::Refused(error.to_string()))
}

async fn start_http2(stream: Stream) -> Result<Protocol, SendError> {
    let (opener, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Upload>(TokioIo::new(stream))
        .await
        .map_err(|error| SendError::Connect(explain(&error)))?;
    // Its errors reach whoever waits for an answer.
    tokio::spawn(async { drop(connection.await) });
    Ok(Protocol::Http2(opener))
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
        // Windows does not tell.
        #[cfg(unix)]
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    }
}
