//! `ext`: what goes along with a signature, written and read.

use super::{
    AuthorizedScopes, Credentials, GivenCertificate, JsonError, Scope, SignError, reduce_scopes,
};
use crate::hawk::{HawkError, MAX_MATCH_LENGTH};
use crate::json::{JsonValue, expect_object, given, items, string};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use std::fmt;
use zeroize::Zeroizing;

/// What goes along with a signature as application data: base64 of a JSON object with the
/// certificate and the authorizedScopes, each only where it applies.
pub(super) struct Ext {
    /// `None`: there is neither.
    full: Option<Zeroizing<String>>,
    /// With the scopes left out that others satisfy; `None` where there are none such.
    reduced: Option<Zeroizing<String>>,
}

impl Ext {
    /// # Errors
    ///
    /// The certificate of `credentials` is not JSON.
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

    /// Whether this is the form with all scopes.
    pub(super) fn is_full(&self, ext: Option<&str>) -> bool {
        ext == self.full.as_ref().map(|full| full.as_str())
    }

    /// The fullest form with which `length`, that of `what`, is within the services' limit.
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
                ext: shortest.map_or(0, str::len),
            }),
        }
    }
}

/// The certificate in it is as secret as in the clear.
impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.full {
            None => f.write_str("Ext(none)"),
            Some(_) => f.write_str("Ext([REDACTED])"),
        }
    }
}

fn encode(
    certificate: Option<&GivenCertificate>,
    authorized_scopes: Option<&[Scope]>,
) -> Result<Option<Zeroizing<String>>, JsonError> {
    let text = certificate.map(GivenCertificate::as_str);
    if text.is_none() && authorized_scopes.is_none() {
        return Ok(None);
    }
    // Room for all of it: a buffer that grows leaves copies behind.
    let scopes = authorized_scopes.into_iter().flatten();
    let length: usize = scopes.map(|scope| 3 + 2 * scope.as_str().len()).sum();
    let length = LENGTH_OF_THE_REST + length + text.map_or(0, str::len);
    let mut json = Zeroizing::new(Vec::with_capacity(length));
    if let Some(certificate) = text {
        // As it is: its text stays.
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

/// Enough for the names of the two members and what stands between them, in bytes.
const LENGTH_OF_THE_REST: usize = 64;

/// With or without padding, as Node decodes what the auth service receives.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The JSON text in an `ext` that a server received.
pub(super) fn decoded(ext: &str) -> Result<Zeroizing<String>, HawkError> {
    let text = LENIENT.decode(ext).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Zeroizing::new).ok_or_else(not_json)
}

pub(super) fn not_json() -> HawkError {
    HawkError::credentials("Failed to parse ext")
}

/// What a server finds in it.
pub(super) struct ReceivedExt<V> {
    pub(super) certificate: Option<V>,
    pub(super) authorized_scopes: Option<Vec<Scope>>,
}

impl<V: JsonValue> ReceivedExt<V> {
    pub(super) fn new(ext: &V) -> Result<Self, HawkError> {
        expect_object(ext).map_err(|_| HawkError::credentials("ext must be a JSON object"))?;
        let certificate = given(ext, "certificate");
        if certificate.as_ref().is_some_and(|value| expect_object(value).is_err()) {
            return Err(HawkError::credentials("ext.certificate must be a JSON object"));
        }
        let authorized_scopes = given(ext, "authorizedScopes").map(scopes).transpose()?;
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
