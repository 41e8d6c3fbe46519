//! Why a service refused a request, as far as the proxy can tell.

use crate::Timestamp;
use crate::credentials::{
    AuthorizedScopes, Credentials, CredentialsFinding, Rounded, Scope, missing_scopes,
    scopes_to_json,
};
use crate::json::{JsonValue as _, parse_object, string};
use std::fmt;
use std::time::Duration;

/// What the proxy knows of credentials that helps to say why a service refused a call made with them.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What looks wrong about them at any time.
    form: Vec<CredentialsFinding>,
    /// When the certificate begins and ends, if there is one that says so.
    dates: (Option<Timestamp>, Option<Timestamp>),
    /// The certificate's scopes; `None`: what the credentials may do is known to the services alone.
    granted: Option<Vec<Scope>>,
    /// `None`: no restriction.
    authorized: Option<Vec<Scope>>,
}

/// A call that a service refused with 401 or 403.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The status.
    pub status: u16,
    /// The body, where it could be read beforehand.
    pub body: Option<&'a str>,
    /// What the answer's `Date` says, to the second.
    pub date: Option<Timestamp>,
    /// This machine's time of day.
    pub now: Timestamp,
    /// Path and query of the call.
    pub resource: &'a str,
}

/// Why a service refused a call, most likely.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The credentials look wrong.
    Credentials(CredentialsFinding),
    /// The call carries a bewit, and was signed with a header besides.
    BewitToo,
    /// Path and query are longer than the services read.
    ResourceTooLong {
        /// In characters.
        length: usize,
    },
    /// This machine's clock is wrong.
    Clock {
        /// By so much.
        by: Duration,
        /// Ahead of the services'.
        ahead: bool,
    },
    /// The task is not given what the call needs.
    Restricted {
        /// What is missing.
        missing: Vec<Scope>,
    },
    /// The credentials are not given what the call needs.
    NotGranted {
        /// What is missing.
        missing: Vec<Scope>,
    },
}

/// The services verify `ts` within 15 minutes, and a certificate's dates within 5 (Taskcluster's auth
/// service): a clock that is further off than this is worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A path and query longer than this are refused (npm `hawk`).
const MAX_RESOURCE: usize = crate::hawk::MAX_MATCH_LENGTH;

impl Terms {
    /// Those of `credentials`.
    pub fn new(credentials: &Credentials, authorized_scopes: &AuthorizedScopes) -> Self {
        let certificate = credentials.certificate.as_ref();
        Self {
            form: credentials.form_findings().collect(),
            dates: certificate.map_or((None, None), |it| (it.start(), it.expiry())),
            granted: certificate.map(|certificate| certificate.scopes().to_vec()),
            authorized: authorized_scopes.scopes().map(<[Scope]>::to_vec),
        }
    }

    /// What looks wrong about the credentials at `now`, which is the services' time where that is known.
    pub fn findings(&self, now: Timestamp) -> Vec<CredentialsFinding> {
        let (start, expiry) = self.dates;
        let dates = CredentialsFinding::of_dates(start, expiry, now);
        self.form.iter().cloned().chain(dates).collect()
    }

    /// Finds out why a service refused a call; the most likely reason comes first, and there may be
    /// none to be found.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::{AuthorizedScopes, Credentials}};
    /// use taskcluster_proxy_core::proxy::{Refusal, Terms};
    ///
    /// let credentials = Credentials::permanent("tester", "no-secret")?;
    /// let terms = Terms::new(&credentials, &AuthorizedScopes::Unrestricted);
    /// let now = Timestamp::from_secs(1_767_225_600);
    /// let date = Some(Timestamp::from_secs(1_767_229_200));
    /// let found = terms.diagnose(&Refusal { status: 401, body: None, date, now, resource: "/x" });
    /// assert!(found[0].to_string().starts_with("this machine's clock is 1h behind the service's"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn diagnose(&self, refusal: &Refusal<'_>) -> Vec<Finding> {
        match refusal.status {
            401 => self.unauthenticated(refusal),
            403 => self.unauthorized(refusal.body.unwrap_or_default()),
            _ => Vec::new(),
        }
    }

    fn unauthenticated(&self, refusal: &Refusal<'_>) -> Vec<Finding> {
        let Refusal { date, now, resource, .. } = *refusal;
        // Theirs is the clock that counts.
        let service = date.unwrap_or(now);
        let findings = self.findings(service).into_iter();
        let mut findings: Vec<Finding> = findings.map(Finding::Credentials).collect();
        if has_bewit(resource) {
            findings.push(Finding::BewitToo);
        }
        if resource.len() > MAX_RESOURCE {
            findings.push(Finding::ResourceTooLong { length: resource.len() });
        }
        if now.distance(service) > CLOCK_TOLERANCE {
            findings.push(Finding::Clock { by: now.distance(service), ahead: now > service });
        }
        findings
    }

    fn unauthorized(&self, body: &str) -> Vec<Finding> {
        let required = scopes_named_in(body);
        let lacking = |scopes: &Option<Vec<Scope>>| -> Vec<Scope> {
            scopes.as_ref().map_or(Vec::new(), |scopes| {
                missing_scopes(scopes, &required).into_iter().cloned().collect()
            })
        };
        // The services took the certificate, so its dates are not the reason.
        let form = self.form.iter().cloned();
        let mut findings: Vec<Finding> = form.map(Finding::Credentials).collect();
        let missing = lacking(&self.authorized);
        if !missing.is_empty() {
            findings.push(Finding::Restricted { missing });
        }
        let missing = lacking(&self.granted);
        if !missing.is_empty() {
            findings.push(Finding::NotGranted { missing });
        }
        findings
    }
}

/// Whether a query has a parameter of that name.
fn has_bewit(resource: &str) -> bool {
    let query = resource.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.starts_with("bewit="))
}

/// The scopes that the message of an `InsufficientScopes` error says are missing: the lines of its
/// first fenced block, be they plain or the strings of a scope expression in JSON.
fn scopes_named_in(body: &str) -> Vec<Scope> {
    let object = parse_object(body.as_bytes()).ok();
    let message = object.and_then(|it| string(it.member("message")?).ok());
    let message = message.unwrap_or_default();
    let block = message.split("```").nth(1).unwrap_or_default();
    let lines = block
        .lines()
        .map(|line| line.trim().trim_end_matches(',').trim_start_matches("- ").trim_matches('"'));
    // What is left of an expression are its brackets and operators.
    let scopes = lines.filter(|line| line.contains(':') && !line.ends_with([':', '[', '{']));
    scopes.take(MAX_NAMED).filter_map(|line| Scope::new(line).ok()).collect()
}

/// More than this nobody reads.
const MAX_NAMED: usize = 20;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(finding) => finding.fmt(f),
            Self::BewitToo => f.write_str(
                "the URL carries a bewit, and services refuse that beside the proxy's signature: \
                 request it without the proxy, or without the bewit",
            ),
            Self::ResourceTooLong { length } => write!(
                f,
                "path and query are {length} characters long, and services read at most {MAX_RESOURCE}",
            ),
            Self::Clock { by, ahead } => write!(
                f,
                "this machine's clock is {} {} the service's: set it",
                Rounded(*by),
                if *ahead { "ahead of" } else { "behind" },
            ),
            Self::Restricted { missing } => write!(
                f,
                "the scopes that requests are restricted to (those of the task) lack {}",
                scopes_to_json(missing),
            ),
            Self::NotGranted { missing } => {
                write!(f, "the scopes of the certificate lack {}", scopes_to_json(missing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn terms() -> Terms {
        let scope = |text: &str| Scope::new(text).unwrap();
        let hour = Duration::from_secs(3600);
        Terms {
            form: Vec::new(),
            dates: (Some(NOW.minus(hour)), Some(NOW.plus(hour))),
            granted: Some(vec![scope("queue:*"), scope("secrets:get:a")]),
            authorized: Some(vec![scope("queue:get-artifact:*")]),
        }
    }

    fn said(status: u16, date: Timestamp, now: Timestamp, resource: &str, body: &str) -> String {
        let refusal = Refusal { status, body: Some(body), date: Some(date), now, resource };
        let findings = terms().diagnose(&refusal);
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn refused_credentials() {
        let later = |hours: u64| NOW.plus(Duration::from_secs(3600 * hours + 61));
        for (date, now, resource, expected) in [
            (NOW, NOW, "/x?notbewit=", ""),
            (NOW, NOW.plus(CLOCK_TOLERANCE), "/x", ""),
            (NOW, NOW, "/x?a&bewit=b", "the URL carries a bewit"),
            (later(0), NOW.minus(Duration::from_secs(300)), "/x", "clock is 6min 1s behind"),
            (NOW, later(0).plus(CLOCK_TOLERANCE), "/x", "clock is 6min 1s ahead of"),
            (later(1), later(1), "/x", ""),
            (later(73), later(73), "/x", "expired 3d ago, at 2026-01-01T01:00:00.000Z"),
            (
                NOW.minus(Duration::from_secs(4000)),
                NOW.minus(Duration::from_secs(4000)),
                "/x",
                "not valid before 2025-12-31T23:00:00.000Z",
            ),
            // It is the services' clock that counts.
            (later(2), NOW, "/x", "expired 1h 1min ago"),
        ] {
            let said = said(401, date, now, resource, "");
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
        }
        assert!(said(401, NOW, NOW, &"x".repeat(4097), "").contains("4097 characters long"));
        assert_eq!(said(404, later(9), NOW, "/x?bewit=", ""), "");
    }

    #[test]
    fn what_looks_wrong_about_the_credentials_comes_first() {
        let credentials = Credentials::given("", "no-secret", r#"{"scopes":null}"#);
        let terms = Terms::new(&credentials, &AuthorizedScopes::Unrestricted);
        for (status, resource, rest) in [
            (401, "/x?bewit=b", "; the URL carries a bewit"),
            (403, "/x", r#"; the scopes of the certificate lack ["a:b"]"#),
        ] {
            let body = Some(r#"{"message":"```\na:b\n```"}"#);
            let refusal = Refusal { status, body, date: None, now: NOW, resource };
            let findings = terms.diagnose(&refusal);
            let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
            let said = said.join("; ");
            assert!(said.starts_with("the clientId is empty: "), "{said}");
            let (_, after) =
                said.split_once("`scopes`: expected an array of scopes, found null").unwrap();
            assert!(after.contains(rest), "{said}");
        }
    }

    #[test]
    fn missing_scopes_and_who_lacks_them() {
        let body = |block: &str| {
            format!(
                r#"{{"code":"InsufficientScopes","message":"x is missing:\n\n```\n{block}\n```\n\nneeds\n```\nb:c\n```"}}"#
            )
        };
        let both = r#"scopes that requests are restricted to (those of the task) lack ["secrets:get:b"]; the scopes of the certificate lack ["secrets:get:b"]"#;
        for (block, expected) in [
            ("queue:get-artifact:x", ""),
            ("queue:create-task:x", r#"(those of the task) lack ["queue:create-task:x"]"#),
            ("secrets:get:b", both),
            (
                r#"{\n  \"AllOf\": [\n    \"queue:get-artifact:a\",\n    \"secrets:get:b\"\n  ]\n}"#,
                both,
            ),
            ("- secrets:get:b", both),
            ("", ""),
        ] {
            let said = said(403, NOW, NOW, "/x", &body(block));
            assert!(said.ends_with(expected) && said.is_empty() == expected.is_empty(), "{said}");
        }
        for nonsense in ["", "{}", "<html>", r#"{"message":1}"#, r#"{"message":"no block"}"#] {
            assert_eq!(said(403, NOW, NOW, "/x", nonsense), "");
        }
    }
}
