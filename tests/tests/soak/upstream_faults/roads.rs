//! Where the upstreams of the storm are.

use crate::upstream_faults::plan::{Plan, Road};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use support::{Folder, Tls, TlsBuilder, Upstream};

/// Hosts at port 443, each with an address of its own.
#[derive(Debug)]
pub(crate) struct Roads {
    _hosts: Vec<Tls>,
    folder: Folder,
}

const NAMELESS: &str = "nowhere.invalid";

impl Roads {
    /// # Errors
    ///
    /// It is not for everyone to listen on port 443.
    pub(crate) fn to(upstream: &Upstream) -> io::Result<Self> {
        let at =
            |road, tls: TlsBuilder| tls.listen(IpAddr::V4(address(road)), 443).try_start(upstream);
        let certified = |road| Tls::for_host(&address(road).to_string());
        let trusted = [
            at(Road::Tls, certified(Road::Tls))?,
            at(Road::Http2, certified(Road::Http2).http2())?,
            at(Road::Expired, certified(Road::Expired).valid([2001, 2002]))?,
            at(Road::WrongName, Tls::for_host("elsewhere.example.test"))?,
        ];
        let roots = trusted.each_ref().map(|tls| fs::read_to_string(tls.authority()));
        let roots: String = roots.into_iter().collect::<io::Result<_>>()?;
        let folder = Folder::new();
        folder.put("roots.pem", roots);
        let unknown = at(Road::UnknownIssuer, certified(Road::UnknownIssuer))?;
        Ok(Self { _hosts: trusted.into_iter().chain([unknown]).collect(), folder })
    }

    /// The certificates of all but those whom nobody trusts.
    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path("roots.pem")
    }

    /// What `--allow-host` has to name: they are loopback addresses.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let roads = [
            Road::Tls,
            Road::Http2,
            Road::Closed,
            Road::Expired,
            Road::WrongName,
            Road::UnknownIssuer,
        ];
        let addresses = roads.map(|road| address(road).to_string());
        addresses.into_iter().chain([NAMELESS.to_owned()]).collect()
    }

    /// What a request asks the proxy for.
    pub(crate) fn target(&self, plan: &Plan) -> String {
        match plan.road {
            Road::Service => format!("/api/storm/v1/{}", plan.id),
            Road::Nameless => format!("/{NAMELESS}/{}", plan.id),
            road => format!("/{}/{}", address(road), plan.id),
        }
    }
}

/// One that no other process of these stories has.
fn address(road: Road) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 | high, low, 1 + road as u8)
}
