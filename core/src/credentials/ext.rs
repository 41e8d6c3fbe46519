//! `ext`, the application data of a signature: writing and reading it.

use super::{
    AuthorizedScopes, CertificateText, Credentials, JsonError, Scope, SignError, reduce_scopes,
};
use crate::hawk::{HawkError, MAX_MATCH_LENGTH};
use crate::json::{JsonValue, expect_object, items, non_null_member, string};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use std::fmt;
use zeroize::Zeroizing;

/// The application data of signatures: base64 of a JSON object with the certificate, if there is one,
/// and the authorizedScopes, if there is a restriction.
pub(super) struct Ext {
    /// `None` if there is neither a certificate nor a restriction.
    full: Option<Zeroizing<String>>,
    /// The form without scopes that other scopes satisfy; `None` if there are no such scopes.
    reduced: Option<Zeroizing<String>>,
}

impl Ext {
    /// # Errors
    ///
    /// The authorized scopes cannot be written.
    pub(super) fn new(
        credentials: &Credentials,
        authorized_scopes: &AuthorizedScopes,
    ) -> Result<Self, JsonError> {
        let certificate = credentials.certificate.as_ref();
        let scopes = authorized_scopes.scopes();
        let reduced = scopes
            .map(reduce_scopes)
            .filter(|reduced| Some(reduced.len()) < scopes.map(<[Scope]>::len));
        let reduced = match &reduced {
            Some(reduced) => encode(certificate, Some(reduced))?,
            None => None,
        };
        Ok(Self { full: encode(certificate, scopes)?, reduced })
    }

    /// Whether `ext` is the form with all scopes.
    pub(super) fn is_full(&self, ext: Option<&str>) -> bool {
        ext == self.full.as_ref().map(|full| full.as_str())
    }

    /// The form with all scopes, if the `length` of `what` is within the services' limit with it; else
    /// the reduced one.
    ///
    /// # Errors
    ///
    /// The length exceeds the limit with both forms.
    pub(super) fn fitting(
        &self,
        what: &'static str,
        length: impl Fn(Option<&str>) -> usize,
    ) -> Result<Option<&str>, SignError> {
        let full = self.full.as_ref().map(|ext| ext.as_str());
        let shortest = self.reduced.as_ref().map(|ext| ext.as_str()).or(full);
        match [full, shortest].into_iter().find(|ext| length(*ext) <= MAX_MATCH_LENGTH) {
            Some(ext) => Ok(ext),
            None => Err(SignError::TooLong {
                what,
                length: length(shortest),
                limit: MAX_MATCH_LENGTH,
                ext: length(shortest) - length(None),
            }),
        }
    }
}

/// `ext` contains the certificate, which is a secret.
impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.full {
            None => f.write_str("Ext(none)"),
            Some(_) => f.write_str("Ext([REDACTED])"),
        }
    }
}

fn encode(
    certificate: Option<&CertificateText>,
    authorized_scopes: Option<&[Scope]>,
) -> Result<Option<Zeroizing<String>>, JsonError> {
    let text = certificate.map(CertificateText::as_str);
    if text.is_none() && authorized_scopes.is_none() {
        return Ok(None);
    }
    // The capacity is enough for all of it, because a buffer that grows leaves copies of secrets behind.
    let scopes = authorized_scopes.into_iter().flatten();
    let length: usize = scopes.map(|scope| 3 + 2 * scope.as_str().len()).sum();
    let length = NAMES_LENGTH + length + text.map_or(0, str::len);
    let mut json = Zeroizing::new(Vec::with_capacity(length));
    if let Some(certificate) = text {
        // The text of the certificate is not changed.
        json.extend_from_slice(b"{\"certificate\":");
        json.extend_from_slice(certificate.trim_ascii().as_bytes());
    }
    if let Some(scopes) = authorized_scopes {
        let separator = if json.is_empty() { b'{' } else { b',' };
        json.push(separator);
        json.extend_from_slice(b"\"authorizedScopes\":");
        serde_json::to_writer(&mut *json, scopes)?;
    }
    json.push(b'}');
    Ok(Some(Zeroizing::new(STANDARD.encode(&*json))))
}

/// Enough bytes for the names of the two members and the punctuation.
const NAMES_LENGTH: usize = 64;

/// Base64 with or without padding: the auth service decodes `ext` with Node, which accepts both.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes an `ext` that a server received to its JSON text.
pub(super) fn decode(ext: &str) -> Result<Zeroizing<String>, HawkError> {
    let text = LENIENT.decode(ext).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Zeroizing::new).ok_or_else(not_json)
}

pub(super) fn not_json() -> HawkError {
    HawkError::credentials("Failed to parse ext")
}

/// The content of an `ext` that a server received.
pub(super) struct ReceivedExt<V> {
    pub(super) certificate: Option<V>,
    pub(super) authorized_scopes: Option<Vec<Scope>>,
}

impl<V: JsonValue> ReceivedExt<V> {
    pub(super) fn new(ext: &V) -> Result<Self, HawkError> {
        expect_object(ext).map_err(|_| HawkError::credentials("ext must be a JSON object"))?;
        let certificate = non_null_member(ext, "certificate");
        if certificate.as_ref().is_some_and(|value| expect_object(value).is_err()) {
            return Err(HawkError::credentials("ext.certificate must be a JSON object"));
        }
        let authorized_scopes = non_null_member(ext, "authorizedScopes").map(scopes).transpose()?;
        Ok(Self { certificate, authorized_scopes })
    }
}

fn scopes(value: impl JsonValue) -> Result<Vec<Scope>, HawkError> {
    let items = items(&value)
        .map_err(|_| HawkError::credentials("ext.authorizedScopes must be an array"))?;
    let scope = |item| Scope::new(string(item).ok()?.as_str()).ok();
    items.into_iter().map(scope).collect::<Option<_>>().ok_or_else(|| {
        HawkError::credentials("ext.authorizedScopes must be an array of valid scopes")
    })
}
