//! TLS in front of an upstream, and certificates for the proxy.

use crate::http1::Head;
use crate::server_tls::{Authority, accept_connect, acceptor};
use crate::sync::Watched;
use crate::{Folder, Proxy, ProxyBuilder, Upstream};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Terminates TLS in front of an [`Upstream`].
#[derive(Debug)]
pub struct Tls {
    address: SocketAddr,
    authority: Authority,
    connects: Arc<Watched<Vec<Head>>>,
    /// Dropped last: its tasks end with it.
    _runtime: Runtime,
}

/// The configuration of a [`Tls`]. By default it listens on a free port of 127.0.0.1 with HTTP/1.1.
#[derive(Clone, Debug)]
pub struct TlsBuilder {
    host: String,
    address: SocketAddr,
    behind_proxy: bool,
    http2: bool,
    /// The first year in which the certificate is valid, and the first in which it is not.
    valid: [i32; 2],
}

/// The state that all connections share.
struct Front {
    acceptor: TlsAcceptor,
    upstream: SocketAddr,
    builder: TlsBuilder,
    connects: Arc<Watched<Vec<Head>>>,
}

/// A self-signed certificate for this host name or address, and its key, both in PEM.
pub fn self_signed(host: &str) -> [String; 2] {
    let generated = rcgen::generate_simple_self_signed([host.to_owned()]);
    let generated = generated.expect("there can be a certificate for the host");
    [generated.cert.pem(), generated.signing_key.serialize_pem()]
}

impl ProxyBuilder {
    /// Speaks TLS with clients, with a new certificate for `host`: `cert.pem` and `key.pem` in `folder`.
    pub fn with_tls(self, folder: &Folder, host: &str) -> Self {
        let [certificate, key] = self_signed(host);
        let (cert, key) = (folder.put("cert.pem", certificate), folder.put("key.pem", key));
        self.args(["--tls-cert".as_ref(), cert.as_os_str(), "--tls-key".as_ref(), key.as_os_str()])
    }
}

impl Tls {
    /// With a certificate for this host name or address.
    pub fn for_host(host: &str) -> TlsBuilder {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let (behind_proxy, http2, valid) = (false, false, [1975, 4096]);
        TlsBuilder { host: host.to_owned(), address, behind_proxy, http2, valid }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file with the certificate to trust, for `SSL_CERT_FILE`.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }

    /// A proxy that uses this as its forward proxy, and trusts it. Its deployment is at
    /// `https://tc.example.test`.
    pub fn proxy(&self) -> ProxyBuilder {
        Proxy::in_front_of("https://tc.example.test")
            .env("HTTPS_PROXY", format!("http://{}", self.address))
            .env("SSL_CERT_FILE", self.authority())
    }

    /// The CONNECT requests so far.
    pub fn connects(&self) -> Vec<Head> {
        self.connects.read(Clone::clone)
    }
}

impl TlsBuilder {
    /// Listens on this address and port.
    pub fn listen(mut self, address: IpAddr, port: u16) -> Self {
        self.address = (address, port).into();
        self
    }

    /// Acts as a forward proxy, too: TLS starts after a CONNECT request, whatever its target.
    pub fn behind_proxy(mut self) -> Self {
        self.behind_proxy = true;
        self
    }

    /// With a certificate that is valid from the beginning of one year to that of another one.
    pub fn valid(mut self, years: [i32; 2]) -> Self {
        self.valid = years;
        self
    }

    /// Speaks only HTTP/2. The upstream gets the requests as HTTP/1.1, with the authority as Host.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Starts it.
    pub fn start(self, upstream: &Upstream) -> Tls {
        self.start_in_front_of(upstream.address())
    }

    /// Starts it in front of the server at this address.
    pub fn start_in_front_of(self, address: SocketAddr) -> Tls {
        let at = self.address;
        self.listen_in_front_of(address)
            .unwrap_or_else(|error| panic!("cannot listen on {at}: {error}"))
    }

    /// Starts it on an address or port that may need privileges.
    ///
    /// # Errors
    ///
    /// The system does not allow it to listen there.
    pub fn try_start(self, upstream: &Upstream) -> io::Result<Tls> {
        self.listen_in_front_of(upstream.address())
    }

    fn listen_in_front_of(self, upstream: SocketAddr) -> io::Result<Tls> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind(self.address))?;
        let alpn = if self.http2 { "h2" } else { "http/1.1" };
        let (acceptor, authority) = acceptor(&self.host, self.valid, alpn);
        let connects = Arc::new(Watched::default());
        let front =
            Arc::new(Front { acceptor, upstream, builder: self, connects: Arc::clone(&connects) });
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let front = Arc::clone(&front);
                // An error only ends the connection.
                tokio::spawn(async move { front.serve(stream).await.ok() });
            }
        });
        Ok(Tls { address, authority, connects, _runtime: runtime })
    }
}

impl Front {
    async fn serve(&self, mut stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        if self.builder.behind_proxy {
            let connect = accept_connect(&mut stream).await?;
            self.connects.change(|connects| connects.push(connect));
        }
        let mut stream = self.acceptor.accept(stream).await?;
        if self.builder.http2 {
            let upstream = self.upstream;
            let service = service_fn(move |request| forward(request, upstream));
            http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await?;
        } else {
            let mut upstream = TcpStream::connect(self.upstream).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut upstream).await?;
        }
        Ok(())
    }
}

/// Forwards a request as HTTP/1.1, on a connection of its own.
async fn forward(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
    let upstream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(upstream)).await?;
    tokio::spawn(connection);
    let authority = request.uri().authority().expect("HTTP/2 has one").to_string();
    request.headers_mut().insert(HOST, HeaderValue::from_str(&authority)?);
    let target = request.uri().path_and_query().cloned().expect("HTTP/2 has one");
    *request.uri_mut() = Uri::from(target);
    // With another version hyper would not send a chunked body.
    *request.version_mut() = Version::HTTP_11;
    Ok(sender.send_request(request).await?)
}
