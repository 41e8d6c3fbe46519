//! The parts of credentials, and how they are read: strictly, or as a launcher gives them.

use super::signer::usual_length;
use super::{CredentialsFinding, GivenCertificate, JsonError};
use crate::Timestamp;
use crate::escaped::Escaped;
use crate::hawk::{Key, MAX_MATCH_LENGTH, is_attribute_value};
use crate::json::{given, parse_object, read, string};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use zeroize::Zeroizing;

/// The name of a client: printable ASCII that can stand in a header, so neither `"` nor `\`. One of
/// [`Credentials::given`] may be any text at all.
///
/// Taskcluster's own clientIds keep to fewer characters; the services decide that.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct ClientId(String);

impl ClientId {
    /// Checks that `client_id` is one.
    ///
    /// # Errors
    ///
    /// It is empty or has other characters.
    pub fn new(client_id: impl Into<String>) -> Result<Self, InvalidClientId> {
        let client_id = client_id.into();
        if is_attribute_value(&client_id) { Ok(Self(client_id)) } else { Err(InvalidClientId) }
    }

    /// Takes any text.
    pub(super) fn given(client_id: impl Into<String>) -> Self {
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

/// A text that is no clientId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a clientId: one or more printable ASCII characters other than \" and \\")]
pub struct InvalidClientId;

/// Without what would break a line of the log, and cut where it is longer than any that the services know.
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

/// The secret half of credentials, which is not empty but where a launcher gave an empty one. Never
/// shown, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Any text that is not empty.
    ///
    /// # Errors
    ///
    /// It is empty.
    pub fn new(access_token: impl Into<String>) -> Result<Self, EmptyAccessToken> {
        let access_token = Zeroizing::new(access_token.into());
        if access_token.is_empty() { Err(EmptyAccessToken) } else { Ok(Self(access_token)) }
    }

    /// Takes any text.
    pub(super) fn given(access_token: impl Into<String>) -> Self {
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

    /// That of temporary credentials (docs/protocol.md, "Temporary credentials").
    pub(super) fn derived(issuer_key: &Key, seed: &str) -> Self {
        let mac = issuer_key.mac_of(seed.as_bytes());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(mac.as_bytes())))
    }

    /// The key that it is.
    pub fn key(&self) -> Key {
        Key::new(&self.0)
    }

    /// The secret itself, to pass it on.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// An accessToken that is empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an accessToken, found an empty one")]
pub struct EmptyAccessToken;

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([REDACTED])")
    }
}

/// What a client of Taskcluster signs with.
///
/// They may look wrong: those of a launcher are signed with as they are, and the services judge.
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
    /// Who signs.
    pub client_id: ClientId,
    /// What it proves that with.
    pub access_token: AccessToken,
    /// Present with temporary credentials.
    pub certificate: Option<GivenCertificate>,
}

impl Credentials {
    /// Permanent credentials.
    ///
    /// # Errors
    ///
    /// The clientId or the accessToken is none.
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

    /// Credentials as a launcher gives them, whatever they look like; an empty certificate is none.
    /// What looks wrong about them is told by [`findings`](Self::findings).
    pub fn given(
        client_id: impl Into<String>,
        access_token: impl Into<String>,
        certificate: impl Into<String>,
    ) -> Self {
        let certificate = Zeroizing::new(certificate.into());
        Self {
            client_id: ClientId::given(client_id),
            access_token: AccessToken::given(access_token),
            certificate: (!certificate.is_empty())
                .then(|| GivenCertificate::new(certificate.as_str())),
        }
    }

    /// Reads `{"clientId", "accessToken", "certificate"}`, the body of `PUT /credentials`, each a
    /// string. As with the Go program, one that is missing or `null` counts as empty, and an empty
    /// certificate means permanent credentials. Other members are ignored.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object, or one of the three is not a string. No value is repeated in the
    /// error.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let texts = Members::parse(text)?.0.map(Option::unwrap_or_default);
        let [client_id, access_token, certificate] = &texts;
        Ok(Self::given(client_id.as_str(), access_token.as_str(), certificate.as_str()))
    }

    /// Reads the same where it comes from an operator, who can correct it, as
    /// `--credentials-file` does.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json); or the clientId or the accessToken is missing, empty or
    /// malformed, or the certificate is not what [`Certificate::parse`](super::Certificate::parse)
    /// reads.
    pub fn from_json_strict(text: &[u8]) -> Result<Self, JsonError> {
        let [client_id, access_token, certificate] = Members::parse(text)?.0;
        let certificate = certificate.unwrap_or_default();
        Ok(Self {
            client_id: of_member("clientId", "a clientId", client_id, |text| {
                let client_id =
                    ClientId::new(text).map_err(|_| "a string with other characters")?;
                match client_id.finding() {
                    None => Ok(client_id),
                    Some(_) => Err("a string too long to sign with"),
                }
            })?,
            access_token: of_member("accessToken", "a string", access_token, |text| {
                AccessToken::new(text).map_err(|_| "an empty string")
            })?,
            certificate: Self::parse_certificate(&certificate)
                .map_err(|error| JsonError::Certificate(Box::new(error)))?,
        })
    }

    /// Reads a certificate that has to be as the services expect it; an empty one is none.
    fn parse_certificate(text: &str) -> Result<Option<GivenCertificate>, JsonError> {
        if text.is_empty() { Ok(None) } else { GivenCertificate::strict(text).map(Some) }
    }

    /// What looks wrong about them at `now`, which is the services' time where that is known.
    pub fn findings(&self, now: Timestamp) -> Vec<CredentialsFinding> {
        let certificate = self.certificate.as_ref();
        let dates = certificate.and_then(|certificate| {
            CredentialsFinding::of_dates(certificate.start(), certificate.expiry(), now)
        });
        self.form_findings().chain(dates).collect()
    }

    /// The finding that [prevents signing](CredentialsFinding::prevents_signing), if there is one.
    pub(super) fn preventing_finding(&self) -> Option<CredentialsFinding> {
        self.form_findings().find(CredentialsFinding::prevents_signing)
    }

    /// [`findings`](Self::findings) without what depends on the time.
    pub(crate) fn form_findings(&self) -> impl Iterator<Item = CredentialsFinding> {
        let certificate = self.certificate.as_ref().and_then(GivenCertificate::finding);
        let findings = [self.client_id.finding(), self.access_token.finding(), certificate];
        findings.into_iter().flatten().cloned()
    }
}

/// The three texts that credentials are made of, as far as they are there.
struct Members([Option<Zeroizing<String>>; 3]);

impl Members {
    fn parse(json: &[u8]) -> Result<Self, JsonError> {
        let object = parse_object(json)?;
        let text = |member, expected| match given(&object, member) {
            None => Ok(None),
            Some(_) => read(&object, member, expected, string).map(Some),
        };
        Ok(Self([
            text("clientId", "a clientId")?,
            text("accessToken", "a string")?,
            text("certificate", "a string of JSON, or null")?,
        ]))
    }
}

fn of_member<T>(
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

/// Credentials of which one half is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The clientId.
    #[error(transparent)]
    ClientId(#[from] InvalidClientId),
    /// The accessToken.
    #[error(transparent)]
    AccessToken(#[from] EmptyAccessToken),
}
