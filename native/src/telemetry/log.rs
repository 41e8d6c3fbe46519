//! The log on stderr: its configuration and start.

use super::log_line::LogLines;
use super::log_writer;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use super::log_line::LogFormat;
pub use super::log_writer::{dropped_lines, print};

/// The target of this program's own lines. Lines of libraries are not logged, because at their most verbose
/// levels they contain header fields of requests.
const OWN_TARGET: &str = "taskcluster_proxy";

/// The levels that are logged, and the format.
#[derive(Clone, Debug, PartialEq)]
pub struct Logging {
    levels: Targets,
    format: LogFormat,
}

impl Logging {
    /// Logs lines of this level and of more severe ones.
    pub fn new(level: LevelFilter, format: LogFormat) -> Self {
        Self { levels: Targets::new().with_target(OWN_TARGET, level), format }
    }

    /// Logs the levels in the value of `RUST_LOG`: levels, or `target=level`, separated by commas. Entries for
    /// other crates and invalid ones are skipped. Without a valid entry, logs `level`.
    pub fn from_rust_log(variable: &str, level: LevelFilter, format: LogFormat) -> Self {
        let directives = variable.split(',').map(str::trim).filter(|text| !text.is_empty());
        let directives: Vec<Targets> = directives.filter_map(|text| text.parse().ok()).collect();
        let general = directives.iter().rev().find_map(Targets::default_level).unwrap_or(level);
        let own = directives.iter().flatten().filter(|(target, _)| is_own(target));
        let own: Vec<(&str, LevelFilter)> = own.collect();
        let has_crate = own.iter().any(|(target, _)| *target == OWN_TARGET);
        let levels = Targets::new().with_targets(own);
        let levels = if has_crate { levels } else { levels.with_target(OWN_TARGET, general) };
        Self { levels, format }
    }

    /// Starts logging to stderr. Dropping the guard writes the remaining lines, for at most one second.
    #[must_use = "dropping the guard writes the remaining lines"]
    pub fn start(self) -> WorkerGuard {
        let (writer, guard) = log_writer::start();
        let color = self.format == LogFormat::Text && io::stderr().is_terminal();
        let lines = LogLines { format: self.format, color, writer };
        tracing_subscriber::registry().with(lines).with(self.levels).init();
        guard
    }
}

fn is_own(target: &str) -> bool {
    target.strip_prefix(OWN_TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Logs the location of panics, without their message, which may contain parts of a request or response.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!("a fault of this program, at {place}: please report it"),
        None => tracing::error!("a fault of this program: please report it"),
    }));
}

/// Formats a point in time as an HTTP date.
pub fn date(moment: Timestamp) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(moment.millis().min(LAST_DATE)))
}

/// The end of the year 9999, in milliseconds since 1970: an HTTP date has four digits for the year, but a
/// certificate may have a later date.
const LAST_DATE: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn enabled(variable: &str, target: &str) -> Vec<Level> {
        let logging = Logging::from_rust_log(variable, LevelFilter::INFO, LogFormat::Text);
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        levels.into_iter().filter(|level| logging.levels.would_enable(target, level)).collect()
    }

    #[test]
    fn rust_log_applies_only_to_this_program() {
        for (variable, count) in [
            ("", 3),
            ("debug", 4),
            ("off", 0),
            ("WARN", 2),
            ("taskcluster_proxy=trace", 5),
            ("error,taskcluster_proxy=debug,hyper=trace", 4),
            ("taskcluster_proxy=debug,error", 4),
            ("hyper=trace", 3),
            ("[span]=trace, nonsense ,debug", 4),
            ("taskcluster_proxy_of_another=trace", 3),
        ] {
            assert_eq!(enabled(variable, "taskcluster_proxy::proxy").len(), count, "{variable}");
            for other in ["hyper", "h2::codec", "rustls"] {
                assert!(enabled(variable, other).is_empty(), "{variable} {other}");
            }
        }
        let one_part = "taskcluster_proxy::outbound=trace";
        assert_eq!(enabled(one_part, "taskcluster_proxy::outbound").len(), 5);
        assert_eq!(enabled(one_part, "taskcluster_proxy::proxy").len(), 3);
    }
}
