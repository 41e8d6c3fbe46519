//! The report of `--check`: a line for each thing that was looked at.

use std::fmt::{self, Display};

/// What was found, line by line: `ok    port        free: 0.0.0.0:8080`.
#[derive(Debug, Default)]
pub struct Report(Vec<Line>);

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
    /// Whether a start would work.
    pub fn is_ok(&self) -> bool {
        self.0.iter().all(|line| line.finding != Finding::Fail)
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
        self.0.push(Line { finding, what, text: text.to_string() });
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|line| line.what.len()).max().unwrap_or_default();
        for (index, Line { finding, what, text }) in self.0.iter().enumerate() {
            let finding = match finding {
                Finding::Ok => "ok",
                Finding::Warn => "warn",
                Finding::Fail => "fail",
                Finding::Unknown => "?",
            };
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{finding:<4}  {what:<width$}  {text}")?;
        }
        Ok(())
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
        let expected =
            "ok    port      free\nwarn  root url  a\n?     tls       b\nfail  x         c";
        assert_eq!(report.to_string(), expected);
    }
}
