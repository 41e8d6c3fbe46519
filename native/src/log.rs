//! The log: lines on stderr.

use crate::sandbox::Sandbox;
use crate::version::{REVISION, VERSION};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};
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

/// Logs panics by where they happen alone: the message may hold what a request or its answer held.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!("a fault of this program, at {place}: please report it"),
        None => tracing::error!("a fault of this program: please report it"),
    }));
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
            let expiry = certificate.expiry().millis().min(LAST_DATE);
            let expiry = UNIX_EPOCH + Duration::from_millis(expiry);
            tracing::info!("temporary credentials until {}", httpdate::fmt_http_date(expiry));
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

/// The end of the year 9999, in milliseconds since 1970: a date in HTTP's format has four digits for
/// the year, and a certificate any number.
const LAST_DATE: u64 = 253_402_300_799_999;
