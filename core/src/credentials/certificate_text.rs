//! The text of a certificate, which may be invalid, and what could be read from it.

use super::certificate::{self, Certificate};
use super::{CredentialsFinding, JsonError, Scope};
use crate::Timestamp;
use crate::json::{JsonValue, items, parse_object};
use std::fmt;
use zeroize::Zeroizing;

/// The text of a certificate, and what could be read from it.
///
/// `ext` contains this text unchanged, and the services decide whether to accept it. What they are
/// likely to reject is reported as a [`CredentialsFinding`].
///
/// ```
/// use taskcluster_proxy_core::credentials::CertificateText;
///
/// let certificate = CertificateText::new(r#"{"version":1,"scopes":null,"seed":"x"}"#);
/// assert!(certificate.scopes().is_empty());
/// assert_eq!(certificate.expiry(), None);
/// assert!(CertificateText::parse_strict(certificate.as_str()).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateText {
    text: Zeroizing<String>,
    scopes: Vec<Scope>,
    start: Option<Timestamp>,
    expiry: Option<Timestamp>,
    finding: Option<CredentialsFinding>,
}

impl CertificateText {
    /// Accepts any text.
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

    /// Accepts only a valid certificate.
    ///
    /// # Errors
    ///
    /// As [`Certificate::parse`].
    pub fn parse_strict(text: &str) -> Result<Self, JsonError> {
        Ok(Self::from_parsed(Certificate::parse(text)?, text.to_owned()))
    }

    /// The text of a certificate that was issued here.
    pub(super) fn from_issued(certificate: Certificate) -> Self {
        let text = certificate.to_json();
        Self::from_parsed(certificate, text)
    }

    /// `text`, from which `certificate` was parsed.
    pub fn from_parsed(certificate: Certificate, text: String) -> Self {
        let Certificate { scopes, start, expiry, .. } = certificate;
        let text = Zeroizing::new(text);
        Self { text, scopes, start: Some(start), expiry: Some(expiry), finding: None }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scopes of the credentials. There are none if the member is missing, `null` or of another
    /// type; items that are not scopes are left out.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The start of the validity, if it could be read.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// The end of the validity, if it could be read.
    pub fn expiry(&self) -> Option<Timestamp> {
        self.expiry
    }

    /// What looks wrong about the certificate, apart from its dates.
    pub(crate) fn finding(&self) -> Option<&CredentialsFinding> {
        self.finding.as_ref()
    }
}

/// Leaves out the text: it contains the signature and the seed, which are secrets.
impl fmt::Debug for CertificateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, scopes, start, expiry, finding } = self;
        f.debug_struct("CertificateText")
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
    fn each_invalid_member_is_named() {
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
            let certificate = CertificateText::new(text.as_str());
            let finding = certificate.finding().map(ToString::to_string).unwrap_or_default();
            assert!(finding.contains(expected), "{text}: {finding}");
            assert_eq!(finding.is_empty(), expected.is_empty(), "{text}: {finding}");
            assert_eq!(CertificateText::parse_strict(&text).is_ok(), expected.is_empty(), "{text}");
            assert_eq!(certificate.as_str(), text);
        }
    }

    #[test]
    fn valid_members_of_an_invalid_certificate_are_read() {
        let certificate = CertificateText::new(text("seed", json!("x")));
        assert_eq!(certificate.scopes(), [Scope::new("a:*").unwrap()]);
        assert_eq!(certificate.start(), Some(Timestamp::from_millis(1_000)));
        assert_eq!(certificate.expiry(), Some(Timestamp::from_millis(2_000)));
        let some = CertificateText::new(text("scopes", json!(["a", 1, "é", "b"])));
        assert_eq!(some.scopes().iter().map(Scope::as_str).collect::<Vec<_>>(), ["a", "b"]);
        for text in ["", "nonsense", "[]", "null", "\"{}\"", "{"] {
            let certificate = CertificateText::new(text);
            let finding = certificate.finding();
            assert!(finding.is_some_and(CredentialsFinding::prevents_signing), "{text}");
            assert!(certificate.scopes().is_empty() && certificate.expiry().is_none());
        }
        let all = CertificateText::new("{}").finding().unwrap().to_string();
        assert_eq!(all.matches("found nothing").count(), 6, "{all}");
    }
}
