//! A certificate as it was given, whatever it looks like.

use super::certificate::{self, Certificate};
use super::{CredentialsFinding, JsonError, Scope};
use crate::Timestamp;
use crate::json::{JsonValue, items, parse_object};
use std::fmt;
use zeroize::Zeroizing;

/// A certificate as the text that came, and what could be read of it.
///
/// It is signed with as it is: what `ext` carries is this text. The services judge it; what they are
/// likely to object to is a [`CredentialsFinding`].
///
/// ```
/// use taskcluster_proxy_core::credentials::GivenCertificate;
///
/// let certificate = GivenCertificate::new(r#"{"version":1,"scopes":null,"seed":"x"}"#);
/// assert!(certificate.scopes().is_empty());
/// assert_eq!(certificate.expiry(), None);
/// assert!(GivenCertificate::strict(certificate.as_str()).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct GivenCertificate {
    text: Zeroizing<String>,
    scopes: Vec<Scope>,
    start: Option<Timestamp>,
    expiry: Option<Timestamp>,
    finding: Option<CredentialsFinding>,
}

impl GivenCertificate {
    /// Takes any text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        let none = (Vec::new(), None, None);
        let ((scopes, start, expiry), finding) = match parse_object(text.as_bytes()) {
            Err(error) => (none, Some(CredentialsFinding::CertificateNotAnObject(error))),
            Ok(object) => {
                let errors = certificate::errors(&object);
                let finding =
                    (!errors.is_empty()).then_some(CredentialsFinding::CertificateMembers(errors));
                let start = certificate::start(&object).ok();
                let expiry = certificate::expiry(&object).ok();
                ((readable_scopes(&object), start, expiry), finding)
            }
        };
        Self { text, scopes, start, expiry, finding }
    }

    /// Takes a text that is a certificate as the services expect it.
    ///
    /// # Errors
    ///
    /// As [`Certificate::parse`].
    pub fn strict(text: &str) -> Result<Self, JsonError> {
        Ok(Self::of(Certificate::parse(text)?, text.to_owned()))
    }

    /// Takes one that was issued here.
    pub(super) fn issued(certificate: Certificate) -> Self {
        let text = certificate.to_json();
        Self::of(certificate, text)
    }

    /// Takes one that was read from `text`.
    pub fn of(certificate: Certificate, text: String) -> Self {
        let Certificate { scopes, start, expiry, .. } = certificate;
        let text = Zeroizing::new(text);
        Self { text, scopes, start: Some(start), expiry: Some(expiry), finding: None }
    }

    /// The text that came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the credentials may do. `null` and what is missing or has another type counts as none, and
    /// items that are not scopes are left out.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// When they begin to be valid, if it says so.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// When they cease to be valid, if it says so.
    pub fn expiry(&self) -> Option<Timestamp> {
        self.expiry
    }

    /// What looks wrong about it, but for its dates.
    pub(crate) fn finding(&self) -> Option<&CredentialsFinding> {
        self.finding.as_ref()
    }
}

/// The signature and the seed are secrets; they are not shown.
impl fmt::Debug for GivenCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, scopes, start, expiry, finding } = self;
        f.debug_struct("GivenCertificate")
            .field("scopes", scopes)
            .field("start", start)
            .field("expiry", expiry)
            .field("finding", finding)
            .finish_non_exhaustive()
    }
}

fn readable_scopes(object: &impl JsonValue) -> Vec<Scope> {
    let items = object.member("scopes").and_then(|value| items(&value).ok());
    items.into_iter().flatten().filter_map(|item| certificate::scope(item).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(member: &str, value: Value) -> String {
        let mut certificate = json!({
            "version": 1,
            "scopes": ["a:*"],
            "start": 1_000,
            "expiry": 2_000,
            "seed": "s".repeat(44),
            "signature": "c2lnbmF0dXJl",
        });
        certificate[member] = value;
        certificate.to_string()
    }

    #[test]
    fn each_member_that_is_not_as_expected_is_named() {
        for (member, value, expected) in [
            ("unknown", json!([1]), ""),
            ("issuer", Value::Null, ""),
            ("scopes", Value::Null, "`scopes`: expected an array of scopes, found null"),
            ("scopes", json!("a:*"), "`scopes`: expected an array of scopes, found a string"),
            ("scopes", json!([1]), "found an array with something else"),
            ("scopes", json!(["é"]), "found a scope with characters outside of printable ASCII"),
            ("version", json!(2), "`version`: expected 1, found another number"),
            ("start", json!("now"), "`start`: expected a number of milliseconds since 1970"),
            ("expiry", json!(-1), "`expiry`: expected a number of milliseconds since 1970"),
            (
                "seed",
                json!("x"),
                "`seed`: expected a string of 44 characters, found another string",
            ),
            ("issuer", json!(""), "`issuer`: expected a clientId, found another string"),
            ("signature", json!(0), "`signature`: expected a string, found a number"),
        ] {
            let text = text(member, value);
            let given = GivenCertificate::new(text.as_str());
            let finding = given.finding().map(ToString::to_string).unwrap_or_default();
            assert!(finding.contains(expected), "{text}: {finding}");
            assert_eq!(finding.is_empty(), expected.is_empty(), "{text}: {finding}");
            assert_eq!(GivenCertificate::strict(&text).is_ok(), expected.is_empty(), "{text}");
            assert_eq!(given.as_str(), text);
        }
    }

    #[test]
    fn what_can_be_read_is_read() {
        let given = GivenCertificate::new(text("seed", json!("x")));
        assert_eq!(given.scopes(), [Scope::new("a:*").unwrap()]);
        assert_eq!(given.start(), Some(Timestamp::from_millis(1_000)));
        assert_eq!(given.expiry(), Some(Timestamp::from_millis(2_000)));
        let some = GivenCertificate::new(text("scopes", json!(["a", 1, "é", "b"])));
        assert_eq!(some.scopes().iter().map(Scope::as_str).collect::<Vec<_>>(), ["a", "b"]);
        for text in ["", "nonsense", "[]", "null", "\"{}\"", "{"] {
            let given = GivenCertificate::new(text);
            assert!(given.finding().is_some_and(CredentialsFinding::prevents_signing), "{text}");
            assert!(given.scopes().is_empty() && given.expiry().is_none());
        }
        let all = GivenCertificate::new("{}").finding().unwrap().to_string();
        assert_eq!(all.matches("found nothing").count(), 6, "{all}");
    }
}
