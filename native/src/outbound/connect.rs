//! A connection to an upstream: DNS, TCP, a forward proxy where the environment names one, TLS, and the
//! start of HTTP.

use super::connect_error::ConnectError;
use super::error::UpstreamError;
use super::forward_proxy::{self, ForwardProxy, Kind, Proxies, ProxyVariable, Route};
use super::happy_eyeballs::HappyEyeballs;
use super::http1::{Http1Connection, ProxiedRequests};
use super::http2::Http2Connection;
use super::origin::Origin;
use super::resolve::resolve;
use super::tls::{self, Alpn, ClientConfigs};
use crate::os::env::Process;
use crate::os::stream::Stream;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::HostPolicy;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OnceCell};
use url::Host;

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    policy: Arc<HostPolicy>,
    happy_eyeballs: HappyEyeballs,
    proxies: Proxies,
    /// Made when they are first needed: a proxy whose root URL is plain http never reads roots.
    tls: OnceCell<ClientConfigs>,
    timeout: Duration,
    /// Held by each open connection of HTTP/1.1.
    open: Rc<()>,
}

/// A new connection, by what is spoken on it.
#[derive(Debug)]
pub(super) enum Protocol {
    Http1(Http1Connection),
    Http2(Rc<Http2Connection>),
}

/// How far the start of a connection has come, for the error when it takes too long.
#[derive(Debug)]
pub enum ConnectProgress {
    /// The host's name is being resolved.
    Resolving(Host),
    /// No address has accepted a connection; why not, for each that has responded.
    Connecting(Vec<(SocketAddr, Option<String>)>),
    /// TCP is established; TLS or the forward proxy's response is not there yet.
    Connected(SocketAddr),
    /// It waits for the connection that another request is making.
    Waiting,
}

impl Connector {
    /// DNS, TCP, TLS and a forward proxy have `timeout` together. `policy` says which addresses
    /// upstreams may have; names that a forward proxy resolves are the proxy's affair.
    ///
    /// # Errors
    ///
    /// A variable of the environment is to name a proxy, and does not.
    pub(super) fn new(timeout: Duration, policy: Arc<HostPolicy>) -> Result<Self, ProxyVariable> {
        Ok(Self {
            policy,
            happy_eyeballs: HappyEyeballs::default(),
            proxies: Proxies::from_env(&Process)?,
            tls: OnceCell::new(),
            timeout,
            open: Rc::default(),
        })
    }

    /// How connections to `origin` are made: through which forward proxy, or why through none.
    pub(super) fn route(&self, origin: &Origin) -> Route<'_> {
        self.proxies.route(origin)
    }

    /// How many connections of HTTP/1.1 are open.
    pub(super) fn open_http1(&self) -> usize {
        Rc::strong_count(&self.open) - 1
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
    ) -> Result<Protocol, UpstreamError> {
        let progress = RefCell::new(ConnectProgress::Resolving(origin.host().clone()));
        let connecting = self.connect_without_limit(origin, released, &progress);
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let progress = progress.into_inner();
        if let (Err(_) | Ok(Err(_)), ConnectProgress::Connected(address)) = (&connected, &progress)
        {
            self.happy_eyeballs.failed(*address);
        }
        connected.unwrap_or_else(|_| Err(UpstreamError::ConnectTimeout(self.timeout, progress)))
    }

    async fn connect_without_limit(
        &self,
        origin: &Origin,
        released: &Rc<Notify>,
        progress: &RefCell<ConnectProgress>,
    ) -> Result<Protocol, UpstreamError> {
        let (stream, proxied) = match self.route(origin) {
            Route::Through(proxy) => {
                let through = self.through(proxy, origin, progress).await;
                through.map_err(|error| error.of_proxy(proxy))?
            }
            Route::NoVariable | Route::Loopback | Route::NoProxy(_) => {
                let (host, port) = (origin.host(), origin.port());
                let tcp = self.tcp(host, port, Some(&self.policy), progress).await?;
                (Stream::Tcp(tcp), None)
            }
        };
        if !origin.is_secure() {
            let connection = Http1Connection::start(stream, proxied, &self.open).await?;
            return Ok(Protocol::Http1(connection));
        }
        let config = &self.tls().await?.to_upstreams;
        Ok(match tls::start(config, origin.host(), stream).await? {
            (stream, Alpn::Http2) => {
                Protocol::Http2(Http2Connection::start(stream, Rc::clone(released)).await?)
            }
            (stream, Alpn::Http1) => {
                Protocol::Http1(Http1Connection::start(stream, None, &self.open).await?)
            }
        })
    }

    /// A connection through `proxy`, on which what comes next is for `origin`.
    async fn through(
        &self,
        proxy: &ForwardProxy,
        origin: &Origin,
        progress: &RefCell<ConnectProgress>,
    ) -> Result<(Stream, Option<ProxiedRequests>), UpstreamError> {
        let tcp = self.tcp(proxy.host(), proxy.port(), None, progress).await?;
        let stream = match proxy.kind() {
            Kind::Socks5 => {
                let tcp = forward_proxy::ask_socks5(tcp, origin, proxy.login()).await;
                let tcp = tcp.map_err(ConnectError::Socks5)?;
                return Ok((Stream::Tcp(tcp), None));
            }
            Kind::Http => Stream::Tcp(tcp),
            Kind::Https => {
                let config = &self.tls().await?.to_proxies;
                tls::start(config, proxy.host(), Stream::Tcp(tcp)).await?.0
            }
        };
        let authorization = proxy.authorization();
        match origin.is_secure() {
            false => Ok((stream, Some(ProxiedRequests { authorization }))),
            true => {
                let tunnel = forward_proxy::ask_tunnel(stream, origin, authorization).await;
                Ok((tunnel.map_err(ConnectError::Tunnel)?, None))
            }
        }
    }

    async fn tcp(
        &self,
        host: &Host,
        port: u16,
        policy: Option<&HostPolicy>,
        progress: &RefCell<ConnectProgress>,
    ) -> Result<TcpStream, UpstreamError> {
        progress.replace(ConnectProgress::Resolving(host.clone()));
        let addresses = self.happy_eyeballs.ordered(resolve(host, port, policy).await?);
        let unresponsive = addresses.iter().map(|address| (*address, None)).collect();
        progress.replace(ConnectProgress::Connecting(unresponsive));
        let failed = |address, error: &io::Error| progress.borrow_mut().failed(address, error);
        let stream = self.happy_eyeballs.connect(&addresses, failed).await?;
        if let Ok(address) = stream.peer_addr() {
            progress.replace(ConnectProgress::Connected(address));
        }
        Ok(stream)
    }

    async fn tls(&self) -> Result<&ClientConfigs, ConnectError> {
        self.tls.get_or_try_init(load_tls).await
    }
}

async fn load_tls() -> Result<ClientConfigs, ConnectError> {
    let loaded = tokio::task::spawn_blocking(ClientConfigs::load).await;
    Ok(loaded.map_err(ConnectError::TlsThread)??)
}

impl ConnectProgress {
    fn failed(&mut self, failed: SocketAddr, error: &io::Error) {
        if let Self::Connecting(addresses) = self {
            let of_failed = addresses.iter_mut().filter(|(address, _)| *address == failed);
            of_failed.for_each(|(_, reason)| *reason = Some(error.to_string()));
        }
    }
}

impl fmt::Display for ConnectProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving(host) => write!(f, "the name {host} could not be resolved"),
            Self::Connecting(addresses) => {
                let (unresponsive, failed): (Vec<_>, Vec<_>) =
                    addresses.iter().partition(|(_, reason)| reason.is_none());
                let unresponsive: Vec<_> =
                    unresponsive.iter().map(|(address, _)| address.to_string()).collect();
                write!(f, "no response from {}", unresponsive.join(", "))?;
                failed.iter().try_for_each(|(address, reason)| {
                    write!(f, "; {address}: {}", reason.as_deref().unwrap_or_default())
                })
            }
            Self::Connected(address) => {
                write!(f, "{address} accepted the connection, and then did not respond")
            }
            Self::Waiting => f.write_str("another request is still connecting"),
        }
    }
}
