//! A connection to an upstream: DNS, TCP, a proxy on the way where the environment names one, TLS,
//! and the start of HTTP.

use super::error::{SendError, explain, find};
use super::forward_proxy::{self, ForwardProxy, Kind, Proxies, ProxyVariable};
use super::http1::{Http1Connection, Via};
use super::http2::Http2Connection;
use super::origin::Origin;
use super::resolve::Resolver;
use super::tls::{self, Alpn, ClientConfigs};
use crate::os::stream::Stream;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostError, HostPolicy};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OnceCell};
use tower_service::Service as _;

/// After so much silence TCP asks whether the other side is still there, and so often again. There
/// is no other end to the wait for an answer from a machine that went away without a word, or for a
/// client that did. The Go program's figure.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);

/// What was sent and is not acknowledged for so long was sent to a machine that is gone (RFC 5482).
/// Linux counts an upstream that is there and reads nothing as well, which may be busy: a shorter time
/// would cut off its uploads.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

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

/// A new connection, by what is spoken on it.
#[derive(Debug)]
pub(super) enum Protocol {
    Http1(Http1Connection),
    Http2(Rc<Http2Connection>),
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
                #[cfg(target_os = "linux")]
                tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
                tcp
            });
        Ok(Self { tcp, to_proxies, proxies, tls: OnceCell::new(), timeout })
    }

    /// The forward proxy that connections to `origin` lead through.
    pub(super) fn forward_proxy(&self, origin: &Origin) -> Option<ForwardProxy> {
        self.proxies.for_origin(origin)
    }

    /// How long a connection may take to be made.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to `origin`. `released` is told when there is room for another request on the
    /// connection, should it be one of HTTP/2.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        released: &Rc<Notify>,
    ) -> Result<Protocol, SendError> {
        tokio::time::timeout(self.timeout, self.connect_without_limit(origin, released))
            .await
            .unwrap_or(Err(SendError::ConnectTimeout(self.timeout)))
    }

    async fn connect_without_limit(
        &self,
        origin: &Origin,
        released: &Rc<Notify>,
    ) -> Result<Protocol, SendError> {
        let uri: Uri = origin
            .as_str()
            .parse()
            .map_err(|error| SendError::Refused(format!("{}: {error}", origin.as_str())))?;
        let (stream, via) = match self.forward_proxy(origin) {
            None => (Stream::Tcp(tcp(&self.tcp, &uri).await?), None),
            Some(proxy) => {
                let through = self.through(&proxy, origin).await;
                through.map_err(|error| error.of_proxy(&proxy))?
            }
        };
        if !origin.is_secure() {
            return Ok(Protocol::Http1(Http1Connection::start(stream, via).await?));
        }
        let config = &self.tls().await?.to_upstreams;
        Ok(match tls::start(config, origin.bare_host(), stream).await? {
            (stream, Alpn::Http2) => {
                Protocol::Http2(Http2Connection::start(stream, Rc::clone(released)).await?)
            }
            (stream, Alpn::Http1) => Protocol::Http1(Http1Connection::start(stream, None).await?),
        })
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
                let tcp = forward_proxy::ask_socks5(tcp, origin, proxy.login()).await?;
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
            true => Ok((forward_proxy::ask_tunnel(stream, origin, authorization).await?, None)),
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
