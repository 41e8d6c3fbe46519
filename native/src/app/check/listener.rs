//! Checks the proxy's listeners: whether it could listen, and whether it could look up who connects.

use super::Report;
use crate::app::config::Config;
use crate::app::prepared::Prepared;
use crate::inbound::{Admission, InboundError, Inherited, Listeners};
use crate::proxy::CredentialsFrom;

/// Checks whether the proxy could listen. The sockets are closed again.
pub(super) async fn check_port(config: &Config, inherited: Inherited, report: &mut Report) {
    match Listeners::open(&config.inbound, inherited).await {
        Ok(listeners) => {
            let addresses = listeners.local_addrs().into_iter().map(|address| address.to_string());
            let paths = listeners.local_paths().into_iter();
            let paths = paths.map(|path| format!("unix:{}", path.display()));
            let all: Vec<_> = addresses.chain(paths).collect();
            report.ok("port", format!("free: {}", all.join(", ")));
        }
        Err(error) => report.fail("port", error),
    }
}

/// Reports what was prepared for clients' connections and for the admin listener.
pub(super) fn report_opened(config: &Config, prepared: &Prepared, report: &mut Report) {
    let Prepared { connections, guard, admin, .. } = prepared;
    if config.inbound.tls.is_some() {
        match connections {
            Ok(_) => report.ok("listener tls", "certificate and key belong together"),
            Err(InboundError::Tls(error)) => report.fail("listener tls", error),
            Err(InboundError::Admission(_)) => {
                report.unknown("listener tls", "not known: correct \"peers\" first");
            }
        }
    }
    match admin {
        None => {}
        Some(Ok(listener)) => report.ok("admin", format!("free: {}", listener.location())),
        Some(Err(error)) => report.fail("admin", error),
    }
    if config.inbound.admission != Admission::default()
        || config.proxy.credentials_from != CredentialsFrom::Any
    {
        match (connections, guard) {
            (Err(InboundError::Admission(error)), _) => report.fail("peers", error),
            (_, Err(error)) => report.fail("peers", error),
            _ => report.ok("peers", "the owner of a connection can be looked up"),
        }
    }
}
