//! The log: lines on stderr.

use crate::clock;
use crate::sandbox::Sandbox;
use crate::server::Listeners;
use crate::version::{REVISION, VERSION};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
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
    listeners: &Listeners,
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
    let addresses = listeners.local_addrs();
    for address in &addresses {
        tracing::info!("listening on {address}");
    }
    let paths = listeners.local_paths();
    for path in &paths {
        tracing::info!("listening on unix:{}", path.display());
    }
    if let Some(sandbox) = sandbox {
        tracing::info!("sandbox at {root_url}");
        let over_tcp = |address: &SocketAddr| format!("http://localhost:{}", address.port());
        let over_unix =
            |path: &PathBuf| format!("--unix-socket {} http://localhost", path.display());
        let proxy = addresses.first().map(over_tcp).or(paths.first().map(over_unix));
        let introduction = sandbox.introduction(&proxy.unwrap_or_default());
        let _ = write!(io::stderr(), "\n{introduction}\n");
    }
}
