//! The log: lines on stderr.

use std::io::IsTerminal as _;
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
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let ours = Targets::new().with_target("taskcluster_proxy", level);
    tracing_subscriber::registry().with(lines).with(ours).init();
}
