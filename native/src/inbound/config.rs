//! The configuration of clients' connections.

use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of clients' connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The TCP address to listen on. `None`: the default one, but only if there is no other socket to
    /// listen on.
    pub listen: Option<Listen>,
    /// The Unix socket to listen on.
    pub socket: Option<SocketFile>,
    /// The certificate and key for TLS on TCP connections. `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Who may connect.
    pub admission: Admission,
    /// How long a client may take to send the header section of a request, and how long its
    /// connection may be idle before that. If it is too long, idle clients occupy descriptors.
    pub header_timeout: Duration,
    /// The maximum of connections that are served at once; further ones get 503. If it is too low,
    /// tasks with many concurrent requests are rejected. If it is too high, descriptors and memory can
    /// be exhausted: a connection with the largest header sections takes about 200 KiB.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            socket: None,
            tls: None,
            admission: Admission::default(),
            header_timeout: Duration::from_secs(60),
            max_connections: 1000,
        }
    }
}

/// A TCP address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The IP address. `None`: all interfaces, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// The port; 0 for any free one.
    pub port: u16,
}

impl Default for Listen {
    /// As the Go program.
    fn default() -> Self {
        Self { address: None, port: 8080 }
    }
}

/// The PEM files for TLS with clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, beginning with the server's own certificate.
    pub certificate: PathBuf,
    /// The private key of the server's certificate.
    pub key: PathBuf,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// The path of its file.
    pub path: PathBuf,
    /// The permissions of the file, which decide who may connect.
    pub mode: u16,
}

/// Who may connect. If neither is set, every client may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The user who may connect, in addition to root.
    pub user: Option<String>,
    /// The network whose addresses may connect if the peer's socket is not visible.
    pub network: Option<IpNet>,
}
