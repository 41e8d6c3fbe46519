//! What the log says of the configuration at the start.

use crate::config::Config;
use crate::inbound::Listeners;
use crate::sandbox::Sandbox;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log::{date, print};
use std::net::SocketAddr;
use std::path::PathBuf;
use taskcluster_proxy_core::credentials::{Credentials, scopes_to_json};
use taskcluster_proxy_core::proxy::RootUrl;

/// Warns of secrets on the command line.
pub fn warn_of_command_line(config: &Config) {
    if config.token_is_visible {
        tracing::warn!(
            "--access-token shows the accessToken to every local user: give it in \
             TASKCLUSTER_ACCESS_TOKEN, by --credentials-file, or by PUT /credentials"
        );
    }
}

/// Logs the configuration that the proxy was started with.
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
        Some(certificate) => match certificate.expiry() {
            Some(expiry) => tracing::info!("temporary credentials until {}", date(expiry)),
            None => tracing::info!("temporary credentials: the certificate says no expiry"),
        },
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
        print(&format!("\n{}", introduction.trim_end_matches('\n')));
    }
}
