//! The log: lines on stderr.

use crate::clock;
use crate::sandbox::Sandbox;
use crate::version::{REVISION, VERSION};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use taskcluster_proxy_core::credentials::{Credentials, scopes_to_json};
use taskcluster_proxy_core::proxy::RootUrl;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging what is as grave as `level` or graver, in colour where a person watches.
///
/// Only this program's own lines are logged: what libraries have to say may hold a request's
/// headers, at their finest levels.
pub fn start(level: Level) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let ours = Targets::new().with_target("taskcluster_proxy", level);
    tracing_subscriber::registry().with(lines).with(ours).init();
}

/// Says what is in force, so that a log tells how the proxy was started.
pub fn announce(
    addresses: &[SocketAddr],
    root_url: &RootUrl,
    credentials: &Credentials,
    sandbox: Option<&Sandbox>,
) {
    let revision = REVISION.unwrap_or("unknown");
    tracing::info!("taskcluster-proxy {VERSION} (git revision {revision})");
    tracing::info!("root url {root_url}, client {}", credentials.client_id);
    match &credentials.certificate {
        None => tracing::info!("no certificate: the credentials are taken for permanent ones"),
        Some(certificate) => {
            let expiry = clock::http_date_of(certificate.expiry());
            tracing::info!("temporary credentials until {expiry}");
        }
    }
    match &credentials.authorized_scopes {
        None => tracing::info!("all scopes of the credentials: no restriction"),
        Some(scopes) => tracing::info!("restricted to the scopes {}", scopes_to_json(scopes)),
    }
    for address in addresses {
        tracing::info!("listening on {address}");
    }
    if let (Some(sandbox), Some(address)) = (sandbox, addresses.first()) {
        tracing::info!("sandbox at {root_url}");
        let _ = write!(io::stderr(), "\n{}\n", sandbox.introduction(*address));
    }
}
