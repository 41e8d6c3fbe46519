//! `ext`: what goes along with a signature, written and read.

use super::{Credentials, GivenCertificate, JsonError, Scope, SignError, reduce_scopes, scope};
use crate::base64::{Alphabet, decode};
use crate::hawk::{HawkError, MAX_MATCH_LENGTH};
use crate::json::{Object, Value, items, parse_object, string};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    /// The certificate of `credentials` has to be a JSON object.
    pub(super) fn new(credentials: &Credentials) -> Self {
        let certificate = credentials.certificate.as_ref();
        let scopes = credentials.authorized_scopes.as_deref();
        let reduced = scopes
            .map(reduce_scopes)
            .filter(|reduced| Some(reduced.len()) < scopes.map(<[Scope]>::len));
        Self {
            full: encode(certificate, scopes),
            reduced: reduced.and_then(|reduced| encode(certificate, Some(&reduced))),
        }
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
            Some(_) => f.write_str("Ext(<not shown>)"),
        }
    }
}

fn encode(
    certificate: Option<&GivenCertificate>,
    authorized_scopes: Option<&[Scope]>,
) -> Option<Zeroizing<String>> {
    // Room for all of it: a copy that grows leaves others behind.
    let scopes = authorized_scopes.into_iter().flatten();
    let length: usize = scopes.map(|scope| 3 + 2 * scope.as_str().len()).sum();
    let length = length + certificate.map_or(0, |certificate| certificate.as_str().len());
    let mut json = Zeroizing::new(String::with_capacity(LENGTH_OF_THE_REST + length));
    if let Some(certificate) = certificate {
        json.push_str("{\"certificate\":");
        json.push_str(certificate.as_str().trim_ascii());
    }
    if let Some(scopes) = authorized_scopes {
        let first = json.is_empty();
        json.push(if first { '{' } else { ',' });
        json.push_str("\"authorizedScopes\":");
        scope::push_json(&mut json, scopes);
    }
    if json.is_empty() {
        return None;
    }
    json.push('}');
    Some(Zeroizing::new(STANDARD.encode(json.as_bytes())))
}

/// Enough for the names of the two members and what stands between them, in bytes.
const LENGTH_OF_THE_REST: usize = 64;

/// The JSON object in an `ext` that a server got.
pub(super) fn decoded(ext: &str) -> Result<Object, HawkError> {
    let json = decode(ext, Alphabet::Standard)
        .ok_or_else(|| HawkError::credentials("Failed to parse ext"))?;
    parse_object(&json).map_err(|error| match error {
        JsonError::NotAnObject(_) => HawkError::credentials("ext must be a JSON object"),
        _ => HawkError::credentials("Failed to parse ext"),
    })
}

/// What a server finds in it.
pub(super) struct Received<'a> {
    pub(super) certificate: Option<&'a Object>,
    pub(super) authorized_scopes: Option<Vec<Scope>>,
}

impl<'a> Received<'a> {
    pub(super) fn of(object: &'a Object) -> Result<Self, HawkError> {
        let certificate = match object.given("certificate") {
            None => None,
            Some(Value::Object(certificate)) => Some(certificate),
            Some(_) => {
                return Err(HawkError::credentials("ext.certificate must be a JSON object"));
            }
        };
        let authorized_scopes = object.given("authorizedScopes").map(scopes).transpose()?;
        Ok(Self { certificate, authorized_scopes })
    }
}

fn scopes(value: &Value) -> Result<Vec<Scope>, HawkError> {
    let items = items(value)
        .map_err(|_| HawkError::credentials("ext.authorizedScopes must be an array"))?;
    let scope = |item| Scope::new(string(item).ok()?).ok();
    items.iter().map(scope).collect::<Option<_>>().ok_or_else(|| {
        HawkError::credentials("ext.authorizedScopes must be an array of valid scopes")
    })
}
