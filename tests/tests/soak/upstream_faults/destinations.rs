//! The destinations of the storm test.

use crate::upstream_faults::plan::{Destination, Plan};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use support::{Folder, Tls, TlsBuilder, Upstream};

/// Hosts that listen on port 443, each at its own address.
#[derive(Debug)]
pub(crate) struct Destinations {
    _hosts: Vec<Tls>,
    folder: Folder,
}

const NAMELESS: &str = "nowhere.invalid";

impl Destinations {
    /// Starts the hosts, in front of this upstream.
    ///
    /// # Errors
    ///
    /// Listening on port 443 is not allowed.
    pub(crate) fn to(upstream: &Upstream) -> io::Result<Self> {
        let at = |destination, tls: TlsBuilder| {
            tls.listen(IpAddr::V4(address(destination)), 443).try_start(upstream)
        };
        let certified = |destination| Tls::for_host(&address(destination).to_string());
        let trusted = [
            at(Destination::Tls, certified(Destination::Tls))?,
            at(Destination::Http2, certified(Destination::Http2).http2())?,
            at(Destination::Expired, certified(Destination::Expired).valid([2001, 2002]))?,
            at(Destination::WrongName, Tls::for_host("elsewhere.example.test"))?,
        ];
        let roots = trusted.each_ref().map(|tls| fs::read_to_string(tls.authority()));
        let roots: String = roots.into_iter().collect::<io::Result<_>>()?;
        let folder = Folder::new();
        folder.put("roots.pem", roots);
        let unknown = at(Destination::UnknownIssuer, certified(Destination::UnknownIssuer))?;
        Ok(Self { _hosts: trusted.into_iter().chain([unknown]).collect(), folder })
    }

    /// The trusted certificates.
    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path("roots.pem")
    }

    /// The hosts for `--allow-host`, as they have loopback addresses.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let destinations = [
            Destination::Tls,
            Destination::Http2,
            Destination::Closed,
            Destination::Expired,
            Destination::WrongName,
            Destination::UnknownIssuer,
        ];
        let addresses = destinations.map(|destination| address(destination).to_string());
        addresses.into_iter().chain([NAMELESS.to_owned()]).collect()
    }

    /// The target of a request to the proxy.
    pub(crate) fn target(&self, plan: &Plan) -> String {
        match plan.destination {
            Destination::Service => format!("/api/storm/v1/{}", plan.id),
            Destination::Nameless => format!("/{NAMELESS}/{}", plan.id),
            destination => format!("/{}/{}", address(destination), plan.id),
        }
    }
}

/// The address of a destination, which no other test process uses.
fn address(destination: Destination) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 | high, low, 1 + destination as u8)
}
