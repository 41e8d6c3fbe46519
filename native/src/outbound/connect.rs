//! Connects to an upstream: DNS, TCP, a forward proxy if the environment names one, TLS, and the HTTP
//! handshake.

use super::connect_error::{AddressFailures, ConnectError};
use super::error::UpstreamError;
use super::forward_proxy::{
    self, ForwardProxy, InvalidProxyVariable, Proxies, ProxyProtocol, Route,
};
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
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{HostPolicy, Outcome};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OnceCell};
use url::Host;

/// Makes connections to upstreams.
#[derive(Debug)]
pub(super) struct Connector {
    policy: Arc<HostPolicy>,
    happy_eyeballs: HappyEyeballs,
    proxies: Proxies,
    /// Loaded when first needed: a proxy whose root URL is plain http never reads root certificates.
    tls: OnceCell<ClientConfigs>,
    timeout: Duration,
    /// Cloned into each open HTTP/1.1 connection, to count them.
    open: Rc<()>,
}

/// A new connection, with its HTTP version.
#[derive(Debug)]
pub(super) enum Protocol {
    Http1(Http1Connection),
    Http2(Rc<Http2Connection>),
}

/// The step that a connection has reached, for the error when connecting times out.
#[derive(Debug)]
pub enum ConnectProgress {
    /// The host's name is being resolved.
    Resolving(Host),
    /// None of these addresses has accepted the connection. Some of the attempts have failed already.
    Connecting(Vec<SocketAddr>, AddressFailures),
    /// TCP is established; the TLS handshake or the forward proxy's response is pending.
    Connected(SocketAddr),
    /// The request waits for the connection that another request is making.
    Waiting,
    /// The connection is made through this forward proxy.
    Through(String, Box<Self>),
}

impl Connector {
    /// `timeout` limits DNS, TCP, TLS and the forward proxy together. `policy` determines which addresses
    /// upstreams may have, but not for names that a forward proxy resolves.
    ///
    /// # Errors
    ///
    /// An environment variable does not contain the URL of a forward proxy.
    pub(super) fn new(
        timeout: Duration,
        policy: Arc<HostPolicy>,
    ) -> Result<Self, InvalidProxyVariable> {
        Ok(Self {
            policy,
            happy_eyeballs: HappyEyeballs::default(),
            proxies: Proxies::from_env(&Process)?,
            tls: OnceCell::new(),
            timeout,
            open: Rc::default(),
        })
    }

    /// The route to `origin`: the forward proxy, or the reason why there is none.
    pub(super) fn route(&self, origin: &Origin) -> Route<'_> {
        self.proxies.route(origin)
    }

    /// The number of open HTTP/1.1 connections.
    pub(super) fn open_http1(&self) -> usize {
        Rc::strong_count(&self.open) - 1
    }

    /// The connect timeout.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to `origin`. If the connection uses HTTP/2, `released` is notified whenever it has
    /// capacity for another request.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        released: &Rc<Notify>,
    ) -> Result<Protocol, UpstreamError> {
        let progress = RefCell::new(ConnectProgress::Resolving(origin.host().clone()));
        let connecting = self.connect_without_timeout(origin, released, &progress);
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let progress = progress.into_inner();
        if let (Err(_) | Ok(Err(_)), ConnectProgress::Connected(address)) = (&connected, &progress)
        {
            self.happy_eyeballs.record_failure(*address);
        }
        connected.unwrap_or_else(|_| {
            let progress = match self.route(origin).proxy() {
                Some(proxy) => ConnectProgress::Through(proxy.to_string(), Box::new(progress)),
                None => progress,
            };
            Err(UpstreamError::ConnectTimeout(self.timeout, progress))
        })
    }

    async fn connect_without_timeout(
        &self,
        origin: &Origin,
        released: &Rc<Notify>,
        progress: &RefCell<ConnectProgress>,
    ) -> Result<Protocol, UpstreamError> {
        let proxy = self.route(origin).proxy();
        let (stream, proxied) = match proxy {
            Some(proxy) => {
                let through = self.through(proxy, origin, progress).await;
                through.map_err(|error| error.through_proxy(proxy))?
            }
            None => {
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
        let secured = tls::start(config, origin.host(), stream).await.map_err(UpstreamError::from);
        let secured = secured.map_err(|error| match proxy {
            // The certificate is the upstream's, so its failure is not the proxy's.
            Some(proxy) if error.outcome() != Outcome::Permanent => error.through_proxy(proxy),
            _ => error,
        });
        Ok(match secured? {
            (stream, Alpn::Http2) => {
                Protocol::Http2(Http2Connection::start(stream, Rc::clone(released)).await?)
            }
            (stream, Alpn::Http1) => {
                Protocol::Http1(Http1Connection::start(stream, None, &self.open).await?)
            }
        })
    }

    /// Connects to `origin` through `proxy`.
    async fn through(
        &self,
        proxy: &ForwardProxy,
        origin: &Origin,
        progress: &RefCell<ConnectProgress>,
    ) -> Result<(Stream, Option<ProxiedRequests>), UpstreamError> {
        let tcp = self.tcp(proxy.host(), proxy.port(), None, progress).await?;
        let stream = match proxy.protocol() {
            ProxyProtocol::Socks5 => {
                let tcp = forward_proxy::connect_socks5(tcp, origin, proxy.login()).await;
                let tcp = tcp.map_err(ConnectError::Socks5)?;
                return Ok((Stream::Tcp(tcp), None));
            }
            ProxyProtocol::Http => Stream::Tcp(tcp),
            ProxyProtocol::Https => {
                let config = &self.tls().await?.to_proxies;
                tls::start(config, proxy.host(), Stream::Tcp(tcp)).await?.0
            }
        };
        let authorization = proxy.authorization();
        match origin.is_secure() {
            false => Ok((stream, Some(ProxiedRequests { authorization }))),
            true => {
                let tunnel = forward_proxy::open_tunnel(stream, origin, authorization).await;
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
        let addresses = self.happy_eyeballs.order(resolve(host, port, policy).await?);
        let no_failures = AddressFailures::default();
        progress.replace(ConnectProgress::Connecting(addresses.clone(), no_failures));
        let on_failure = |address, error| progress.borrow_mut().record_failure(address, error);
        let connected = self.happy_eyeballs.connect(&addresses, on_failure).await;
        let Some(stream) = connected.map_err(ConnectError::Task)? else {
            return Err(ConnectError::Addresses(progress.borrow_mut().take_failures()).into());
        };
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
    Ok(loaded.map_err(ConnectError::Task)??)
}

impl ConnectProgress {
    fn record_failure(&mut self, address: SocketAddr, error: io::Error) {
        if let Self::Connecting(_, failures) = self {
            failures.0.push((address, error));
        }
    }

    fn take_failures(&mut self) -> AddressFailures {
        match self {
            Self::Connecting(_, failures) => mem::take(failures),
            _ => AddressFailures::default(),
        }
    }
}

impl fmt::Display for ConnectProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving(host) => write!(f, "the name {host} could not be resolved"),
            Self::Connecting(addresses, failures) => {
                let unresponsive = addresses.iter().filter(|address| !failures.contains(address));
                let unresponsive: Vec<_> = unresponsive.map(SocketAddr::to_string).collect();
                write!(f, "no response from {}", unresponsive.join(", "))?;
                match failures.0.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; {failures}"),
                }
            }
            Self::Connected(address) => {
                write!(f, "{address} accepted the connection, and then did not respond")
            }
            Self::Waiting => f.write_str("another request is still connecting"),
            Self::Through(proxy, progress) => write!(f, "proxy {proxy}: {progress}"),
        }
    }
}
