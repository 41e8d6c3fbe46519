//! Logs the configuration at the start: version, credentials, restriction, addresses.

use super::Sandbox;
use crate::inbound::Listeners;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log::{self, date};
use std::net::SocketAddr;
use std::path::PathBuf;
use taskcluster_proxy_core::credentials::{
    AuthorizedScopes, CertificateText, Credentials, scopes_to_json,
};
use taskcluster_proxy_core::proxy::RootUrl;

/// Logs the configuration; with a sandbox, also prints commands to try.
pub(super) fn announce(
    listeners: &Listeners,
    root_url: &RootUrl,
    credentials: &Credentials,
    authorized_scopes: &AuthorizedScopes,
    sandbox: Option<&Sandbox>,
) {
    let revision = REVISION.unwrap_or("unknown");
    tracing::info!("taskcluster-proxy {VERSION} (git revision {revision})");
    tracing::info!("root url {root_url}, client {}", credentials.client_id);
    match credentials.certificate.as_ref().map(CertificateText::expiry) {
        None => tracing::info!("permanent credentials: there is no certificate"),
        Some(Some(expiry)) => tracing::info!("temporary credentials until {}", date(expiry)),
        // An unreadable certificate is reported by a separate warning.
        Some(None) => {}
    }
    match authorized_scopes.scopes() {
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
        log::print(&format!("\n{}", introduction.trim_end_matches('\n')));
    }
}
