//! The parts of credentials, and how they are read: strictly, or unchecked as a launcher passes them.

use super::signer::usual_length;
use super::{CertificateText, CredentialsFinding, JsonError};
use crate::Timestamp;
use crate::escaped::Escaped;
use crate::hawk::{Key, MAX_MATCH_LENGTH, is_attribute_value};
use crate::json::{non_null_member, parse_object, read_member, string};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use zeroize::Zeroizing;

/// The name of a client: printable ASCII characters that are allowed in a Hawk header, so neither `"`
/// nor `\`. Only [`Credentials::unchecked`] allows any other text.
///
/// Taskcluster itself allows fewer characters in clientIds; that is left to the services.
///
/// ```
/// use taskcluster_proxy_core::credentials::ClientId;
///
/// assert_eq!(ClientId::new("project/x")?.as_str(), "project/x");
/// assert!(ClientId::new("project/\"x\"").is_err());
/// # Ok::<(), taskcluster_proxy_core::credentials::InvalidClientId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct ClientId(String);

impl ClientId {
    /// Checks a clientId.
    ///
    /// # Errors
    ///
    /// `client_id` is empty or has other characters.
    pub fn new(client_id: impl Into<String>) -> Result<Self, InvalidClientId> {
        let client_id = client_id.into();
        if is_attribute_value(&client_id) { Ok(Self(client_id)) } else { Err(InvalidClientId) }
    }

    /// Accepts any text.
    pub(super) fn unchecked(client_id: impl Into<String>) -> Self {
        Self(client_id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn finding(&self) -> Option<&'static CredentialsFinding> {
        match self.as_str() {
            "" => Some(&CredentialsFinding::EmptyClientId),
            text if !is_attribute_value(text) => Some(&CredentialsFinding::ClientIdCharacters),
            text if usual_length(text, None) > MAX_MATCH_LENGTH => {
                Some(&CredentialsFinding::ClientIdLength)
            }
            _ => None,
        }
    }
}

/// The error for a text that is not a clientId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a clientId: one or more printable ASCII characters other than \" and \\")]
pub struct InvalidClientId;

/// Escapes characters that would break a log line, and cuts an ID that is longer than those in use.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_SHOWN).and_then(|(end, _)| self.0.get(..end)) {
            None => Escaped(&self.0).fmt(f),
            Some(start) => write!(f, "{}..", Escaped(start)),
        }
    }
}

/// How many characters of a clientId are shown.
const MAX_SHOWN: usize = 512;

/// The secret of credentials. It is empty only if a launcher passed an empty one. It is never shown,
/// and is zeroized when dropped.
///
/// ```
/// use taskcluster_proxy_core::credentials::AccessToken;
///
/// let access_token = AccessToken::new("no-secret")?;
/// assert_eq!(access_token.expose(), "no-secret");
/// assert!(!format!("{access_token:?}").contains("no-secret"));
/// # Ok::<(), taskcluster_proxy_core::credentials::EmptyAccessToken>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Accepts any text that is not empty.
    ///
    /// # Errors
    ///
    /// `access_token` is empty.
    pub fn new(access_token: impl Into<String>) -> Result<Self, EmptyAccessToken> {
        let access_token = Zeroizing::new(access_token.into());
        if access_token.is_empty() { Err(EmptyAccessToken) } else { Ok(Self(access_token)) }
    }

    /// Accepts any text.
    pub(super) fn unchecked(access_token: impl Into<String>) -> Self {
        Self(Zeroizing::new(access_token.into()))
    }

    fn finding(&self) -> Option<&'static CredentialsFinding> {
        if self.0.is_empty() {
            Some(&CredentialsFinding::EmptyAccessToken)
        } else if !self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            Some(&CredentialsFinding::AccessTokenCharacters)
        } else {
            None
        }
    }

    /// Derives the accessToken of temporary credentials (docs/protocol.md, "Temporary credentials").
    pub(super) fn derived(issuer_key: &Key, seed: &str) -> Self {
        let mac = issuer_key.mac_of(seed.as_bytes());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(mac.as_bytes())))
    }

    /// The accessToken as a Hawk key.
    pub fn key(&self) -> Key {
        Key::new(&self.0)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The error for an empty accessToken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an accessToken, found an empty one")]
pub struct EmptyAccessToken;

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([REDACTED])")
    }
}

/// The credentials with which a client of Taskcluster signs requests.
///
/// They may be invalid: requests are signed with the credentials that a launcher passes, and the
/// services decide whether to accept them.
///
/// ```
/// use taskcluster_proxy_core::credentials::Credentials;
///
/// let credentials = Credentials::permanent("tester", "no-secret")?;
/// assert!(credentials.certificate.is_none());
/// assert!(!format!("{credentials:?}").contains("no-secret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the client.
    pub client_id: ClientId,
    /// The secret of the client.
    pub access_token: AccessToken,
    /// The certificate of temporary credentials; `None` for permanent ones.
    pub certificate: Option<CertificateText>,
}

impl Credentials {
    /// Permanent credentials.
    ///
    /// # Errors
    ///
    /// The clientId or the accessToken is invalid.
    pub fn permanent(
        client_id: impl Into<String>,
        access_token: impl Into<String>,
    ) -> Result<Self, InvalidCredentials> {
        Ok(Self {
            client_id: ClientId::new(client_id)?,
            access_token: AccessToken::new(access_token)?,
            certificate: None,
        })
    }

    /// Credentials as a launcher passes them, with any values. An empty certificate means permanent
    /// credentials. [`findings`](Self::findings) returns what looks wrong about them.
    pub fn unchecked(
        client_id: impl Into<String>,
        access_token: impl Into<String>,
        certificate: impl Into<String>,
    ) -> Self {
        let certificate = Zeroizing::new(certificate.into());
        Self {
            client_id: ClientId::unchecked(client_id),
            access_token: AccessToken::unchecked(access_token),
            certificate: (!certificate.is_empty())
                .then(|| CertificateText::new(certificate.as_str())),
        }
    }

    /// Reads the body of `PUT /credentials`: a JSON object with the strings `clientId`, `accessToken`
    /// and `certificate`. As in the Go proxy, a member that is missing or `null` counts as empty, and
    /// an empty certificate means permanent credentials. Other members are ignored.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object, or one of the three members is not a string. The error never
    /// repeats a value.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let texts = Members::parse(text)?.0.map(Option::unwrap_or_default);
        let [client_id, access_token, certificate] = &texts;
        Ok(Self::unchecked(client_id.as_str(), access_token.as_str(), certificate.as_str()))
    }

    /// Reads the same JSON object, but accepts only valid credentials. `--credentials-file` uses this,
    /// because the operator who writes the file can correct it.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json). Also if the clientId or the accessToken is missing, empty or
    /// malformed, or [`Certificate::parse`](super::Certificate::parse) rejects the certificate.
    pub fn from_json_strict(text: &[u8]) -> Result<Self, JsonError> {
        let [client_id, access_token, certificate] = Members::parse(text)?.0;
        let certificate = certificate.unwrap_or_default();
        Ok(Self {
            client_id: require_member("clientId", "a clientId", client_id, |text| {
                let client_id =
                    ClientId::new(text).map_err(|_| "a string with other characters")?;
                match client_id.finding() {
                    None => Ok(client_id),
                    Some(_) => Err("a string too long to sign with"),
                }
            })?,
            access_token: require_member("accessToken", "a string", access_token, |text| {
                AccessToken::new(text).map_err(|_| "an empty string")
            })?,
            certificate: Self::parse_certificate(&certificate)
                .map_err(|error| JsonError::Certificate(Box::new(error)))?,
        })
    }

    /// Reads a certificate strictly; an empty text means that there is none.
    fn parse_certificate(text: &str) -> Result<Option<CertificateText>, JsonError> {
        if text.is_empty() { Ok(None) } else { CertificateText::parse_strict(text).map(Some) }
    }

    /// What looks wrong about the credentials at `now`: the services' time if it is known, else this
    /// machine's.
    pub fn findings(&self, now: Timestamp) -> Vec<CredentialsFinding> {
        let certificate = self.certificate.as_ref();
        let dates = certificate.and_then(|certificate| {
            CredentialsFinding::from_dates(certificate.start(), certificate.expiry(), now)
        });
        self.timeless_findings().chain(dates).collect()
    }

    /// The finding that [prevents signing](CredentialsFinding::prevents_signing), if there is one.
    pub(super) fn preventing_finding(&self) -> Option<CredentialsFinding> {
        let certificate = self.certificate.as_ref().and_then(CertificateText::finding);
        let findings = [self.client_id.finding(), certificate];
        findings.into_iter().flatten().find(|finding| finding.prevents_signing()).cloned()
    }

    /// The [`findings`](Self::findings) that do not depend on the time.
    pub(crate) fn timeless_findings(&self) -> impl Iterator<Item = CredentialsFinding> {
        let certificate = self.certificate.as_ref().and_then(CertificateText::finding);
        let findings = [self.client_id.finding(), self.access_token.finding(), certificate];
        findings.into_iter().flatten().cloned()
    }
}

/// The clientId, the accessToken and the certificate of a JSON object; `None` for a missing one.
struct Members([Option<Zeroizing<String>>; 3]);

impl Members {
    fn parse(json: &[u8]) -> Result<Self, JsonError> {
        let object = parse_object(json)?;
        let text = |member, expected| match non_null_member(&object, member) {
            None => Ok(None),
            Some(_) => read_member(&object, member, expected, string).map(Some),
        };
        Ok(Self([
            text("clientId", "a clientId")?,
            text("accessToken", "a string")?,
            text("certificate", "a string of JSON, or null")?,
        ]))
    }
}

/// Reads the text of a member that must neither be missing nor empty.
fn require_member<T>(
    member: &'static str,
    expected: &'static str,
    text: Option<Zeroizing<String>>,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, JsonError> {
    let read = match text.as_ref().map(|text| text.as_str()) {
        None => Err("nothing"),
        Some("") => Err("an empty string"),
        Some(text) => read(text),
    };
    read.map_err(|found| JsonError::Member { member, expected, found })
}

/// Why permanent credentials are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The clientId is invalid.
    #[error(transparent)]
    ClientId(#[from] InvalidClientId),
    /// The accessToken is invalid.
    #[error(transparent)]
    AccessToken(#[from] EmptyAccessToken),
}
