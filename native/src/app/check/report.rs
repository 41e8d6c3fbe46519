//! The report of `--check`: a line for each thing that was checked, printed as soon as it is known.

use std::fmt::{self, Display};
use std::io::{self, Write as _};

/// What was found, line by line: `ok    port          free: 0.0.0.0:8080`.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
    prints: bool,
    /// A line could not be printed.
    unprinted: bool,
}

/// The longest thing that is checked: the texts beside them are aligned.
const WIDTH: usize = "listener tls".len();

#[derive(Debug)]
struct Line {
    finding: Finding,
    what: &'static str,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// As it should be.
    Ok,
    /// It works, but something should be done.
    Warn,
    /// It does not work.
    Fail,
    /// It cannot be told.
    Unknown,
}

impl Report {
    /// Prints each line on stdout when it is added: what is checked may take its time.
    pub(super) fn printing() -> Self {
        Self { prints: true, ..Self::default() }
    }

    /// Whether a start would work, and all was told.
    pub fn is_ok(&self) -> bool {
        !self.unprinted && self.lines.iter().all(|line| line.finding != Finding::Fail)
    }

    pub(super) fn ok(&mut self, what: &'static str, text: impl Display) {
        self.add(Finding::Ok, what, text);
    }

    pub(super) fn warn(&mut self, what: &'static str, text: impl Display) {
        self.add(Finding::Warn, what, text);
    }

    pub(super) fn fail(&mut self, what: &'static str, text: impl Display) {
        self.add(Finding::Fail, what, text);
    }

    pub(super) fn unknown(&mut self, what: &'static str, text: impl Display) {
        self.add(Finding::Unknown, what, text);
    }

    fn add(&mut self, finding: Finding, what: &'static str, text: impl Display) {
        let line = Line { finding, what, text: text.to_string() };
        if self.prints {
            // A reader that has gone away (`--check | head -1`) is no failure.
            let printed = writeln!(io::stdout(), "{line}");
            self.unprinted |= printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
        self.lines.push(line);
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { finding, what, text } = self;
        let finding = match finding {
            Finding::Ok => "ok",
            Finding::Warn => "warn",
            Finding::Fail => "fail",
            Finding::Unknown => "?",
        };
        write!(f, "{finding:<4}  {what:<WIDTH$}  {text}")
    }
}

#[cfg(test)]
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(Line::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_failures_alone_fail() {
        let mut report = Report::default();
        report.ok("port", "free");
        report.warn("root url", "a");
        report.unknown("tls", "b");
        assert!(report.is_ok());
        report.fail("x", "c");
        assert!(!report.is_ok());
        let expected = "ok    port          free\nwarn  root url      a\n?     tls           b\nfail  x             c";
        assert_eq!(report.to_string(), expected);
    }
}
