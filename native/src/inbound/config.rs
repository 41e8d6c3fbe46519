//! What can be set about the connections of clients.

use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen, for whom, and how many connections there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen over TCP. `None`: where nothing else is listened on, as by default.
    pub listen: Option<Listen>,
    /// The Unix socket to listen on.
    pub socket: Option<SocketFile>,
    /// What TLS over TCP needs. `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Who may connect.
    pub admission: Admission,
    /// How long a client may take to send the header section of a request, and how long its
    /// connection may be idle before it. Too long: idle clients hold descriptors.
    pub header_timeout: Duration,
    /// How many connections are served at once; those beyond get 503. Too few: a task that does
    /// much at once is rejected. Too many: descriptors and memory, some 200 KiB for each that sends
    /// the largest header sections, are used up.
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

/// Where to listen over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every interface, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// 0: one that is free.
    pub port: u16,
}

impl Default for Listen {
    /// The default of the Go program.
    fn default() -> Self {
        Self { address: None, port: 8080 }
    }
}

/// What TLS with clients needs, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, the server's own first.
    pub certificate: PathBuf,
    /// The private key of the first one.
    pub key: PathBuf,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Where it is made.
    pub path: PathBuf,
    /// Who may connect by the file's permissions. Too wide: any user of the machine may.
    pub mode: u16,
}

/// Who may connect. With neither, everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// This user, and root.
    pub user: Option<String>,
    /// Addresses of this network, where the peer's socket is not visible.
    pub network: Option<IpNet>,
}
