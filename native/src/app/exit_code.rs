//! The program's final output, and its exit status.

use crate::app::check::Report;
use crate::app::shutdown::Outcome;
use crate::telemetry::log;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status for [`Outcome::Aborted`]. 0 means a graceful shutdown, 1 that the proxy could not start.
const ABORTED: u8 = 3;

/// Prints the text and a line feed on stdout.
pub fn print(text: &str) -> ExitCode {
    // It is not an error if the reader has closed the pipe (`--help | head -1`).
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// The exit code of a check, whose report was printed: a failure if the proxy would not start.
pub fn report(report: &Report) -> ExitCode {
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints an error in one line on stderr, which the launcher shows to a person.
pub fn fail(error: &dyn Error) -> ExitCode {
    log::print(&format!("taskcluster-proxy: {error}"));
    ExitCode::FAILURE
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Drained => Self::SUCCESS,
            Outcome::Aborted => Self::from(ABORTED),
        }
    }
}
