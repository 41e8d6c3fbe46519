//! This side: where the proxy would listen, and for whom.

use super::Report;
use crate::config::Config;
use crate::server::{Admitter, Inherited, Listeners, Tls};

pub(super) async fn check(config: &Config, inherited: Inherited, report: &mut Report) {
    let Config { listen, socket, admission, .. } = config;
    // Released again when this ends.
    match Listeners::open(listen.as_ref(), socket.as_ref(), inherited, admission).await {
        Ok(listeners) => {
            let addresses = listeners.local_addrs().into_iter().map(|address| address.to_string());
            let paths = listeners.local_paths().into_iter();
            let paths = paths.map(|path| format!("unix:{}", path.display()));
            let all: Vec<_> = addresses.chain(paths).collect();
            report.ok("port", format!("free: {}", all.join(", ")));
        }
        Err(error) => report.fail("port", error),
    }
    match config.tls.clone().map(Tls::load) {
        None => {}
        Some(Ok(_)) => report.ok("listener tls", "certificate and key belong together"),
        Some(Err(error)) => report.fail("listener tls", error),
    }
    if admission.user.is_none() && admission.network.is_none() {
        return;
    }
    match Admitter::new(admission) {
        Ok(_) => report.ok("peers", "whose a connection is can be looked up"),
        Err(error) => report.fail("peers", error),
    }
}
