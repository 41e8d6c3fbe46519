//! This side: where the proxy would listen, and for whom.

use super::Report;
use crate::config::Config;
use crate::server::{self, Admitter};

pub(super) async fn check(config: &Config, report: &mut Report) {
    // Released again when this ends.
    match server::bind(&config.listen, &config.admission).await {
        Ok(listeners) => {
            let addresses = listeners.local_addrs();
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            report.ok("port", format!("free: {}", addresses.join(", ")));
        }
        Err(error) => report.fail("port", error),
    }
    let admission = &config.admission;
    if admission.user.is_none() && admission.network.is_none() {
        return;
    }
    match Admitter::new(admission) {
        Ok(_) => report.ok("peers", "whose a connection is can be looked up"),
        Err(error) => report.fail("peers", error),
    }
}
