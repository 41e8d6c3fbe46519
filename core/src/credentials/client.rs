use super::{Certificate, Scope};
use crate::hawk::{Key, is_attribute_value};
use crate::json::{self, JsonError, Value, parse_object, take};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use zeroize::Zeroizing;

/// The name of a client: printable ASCII that can stand in a header, so neither `"` nor `\`.
///
/// Taskcluster's own clientIds keep to fewer characters; the services decide that, not the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no clientId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a clientId: one or more printable ASCII characters other than \" and \\")]
pub struct InvalidClientId;

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret half of credentials. Never shown, wiped from memory when dropped.
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

    /// That of temporary credentials (protocol.md, temporary credentials).
    pub(super) fn derived(issuer_key: &Key, seed: &str) -> Self {
        let mac = issuer_key.mac_of(seed.as_bytes());
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(mac.as_bytes())))
    }

    /// The key that it is.
    pub fn key(&self) -> Key {
        Key::new(&self.0)
    }

    /// The secret itself, for whoever has to hand it on.
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
        f.write_str("AccessToken(<not shown>)")
    }
}

/// What a client of Taskcluster signs with.
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
    pub certificate: Option<Certificate>,
    /// What the credentials are restricted to: `None` is no restriction, `Some([])` no scopes.
    pub authorized_scopes: Option<Vec<Scope>>,
}

impl Credentials {
    /// Permanent credentials without restriction.
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
            authorized_scopes: None,
        })
    }

    /// Reads `{"clientId", "accessToken", "certificate"}`, the body of `PUT /credentials`. The
    /// certificate is a JSON string; missing, `null` and `""` mean permanent credentials. Other
    /// members are ignored.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object, or a member is missing or not what it has to be. No value is
    /// repeated in the error.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let object = &mut parse_object(text)?;
        let client_id = take(object, "clientId", "a clientId", |value| {
            let text = json::string(value)?;
            let found =
                if text.is_empty() { "an empty string" } else { "a string with other characters" };
            ClientId::new(text).map_err(|_| found)
        })?;
        let access_token = take(object, "accessToken", "a string", |value| {
            AccessToken::new(json::string(value)?).map_err(|_| "an empty string")
        })?;
        let certificate = match object.remove("certificate") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let expected = "a string of JSON, or null";
                let text = json::string(value).map(Zeroizing::new).map_err(|found| {
                    JsonError::Member { member: "certificate", expected, found }
                })?;
                Self::parse_certificate(&text)
                    .map_err(|error| JsonError::Certificate(Box::new(error)))?
            }
        };
        Ok(Self { client_id, access_token, certificate, authorized_scopes: None })
    }

    /// Reads a certificate as flags and the environment carry it: an empty one is none.
    ///
    /// # Errors
    ///
    /// As [`Certificate::parse`].
    pub fn parse_certificate(text: &str) -> Result<Option<Certificate>, JsonError> {
        if text.is_empty() { Ok(None) } else { Certificate::parse(text).map(Some) }
    }
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
