//! This side: where the proxy would listen, and for whom.

use super::Report;
use crate::admin;
use crate::app::config::Config;
use crate::inbound::{Admission, Admitter, Inherited, Listeners, Tls};
use crate::proxy::{CredentialsFrom, CredentialsGuard};
use std::error::Error;

pub(super) async fn check(config: &Config, inherited: Inherited, report: &mut Report) {
    // Released again when this ends.
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
    match config.inbound.tls.clone().map(Tls::load) {
        None => {}
        Some(Ok(_)) => report.ok("listener tls", "certificate and key belong together"),
        Some(Err(error)) => report.fail("listener tls", error),
    }
    if let Some(admin) = &config.admin {
        match admin::Listener::bind(admin) {
            Ok(listener) => report.ok("admin", format!("free: {}", listener.location())),
            Err(error) => report.fail("admin", error),
        }
    }
    if config.inbound.admission != Admission::default()
        || config.proxy.credentials_from != CredentialsFrom::Any
    {
        match look_up_owners(config) {
            Ok(()) => report.ok("peers", "whose a connection is can be looked up"),
            Err(error) => report.fail("peers", error),
        }
    }
}

fn look_up_owners(config: &Config) -> Result<(), Box<dyn Error>> {
    Admitter::new(&config.inbound.admission)?;
    CredentialsGuard::new(config.proxy.credentials_from)?;
    Ok(())
}
