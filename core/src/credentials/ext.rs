use super::{Certificate, Credentials, Scope, SignError, reduce_scopes, scope};
use crate::base64::{Alphabet, decode};
use crate::hawk::{HawkError, MAX_MATCH_LENGTH};
use crate::json::{JsonError, Object, Value, parse_object};
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
    certificate: Option<&Certificate>,
    authorized_scopes: Option<&[Scope]>,
) -> Option<Zeroizing<String>> {
    // Room for all of it: a copy that grows leaves others behind.
    let scopes =
        certificate.map(Certificate::scopes).into_iter().chain(authorized_scopes).flatten();
    let length: usize = scopes.map(|scope| 3 + 2 * scope.as_str().len()).sum();
    let mut json = Zeroizing::new(String::with_capacity(LENGTH_WITHOUT_SCOPES + length));
    if let Some(certificate) = certificate {
        json.push_str("{\"certificate\":");
        certificate.push_json(&mut json);
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

/// Enough for all that is not a scope in the JSON of a certificate, in bytes.
const LENGTH_WITHOUT_SCOPES: usize = 1024;

/// What a server finds in `ext`.
pub(super) struct Received {
    pub(super) certificate: Option<Object>,
    pub(super) authorized_scopes: Option<Vec<Scope>>,
}

impl Received {
    pub(super) fn parse(ext: &str) -> Result<Self, HawkError> {
        let bytes = decode(ext, Alphabet::Standard)
            .ok_or_else(|| HawkError::credentials("Failed to parse ext"))?;
        let mut object = parse_object(&bytes).map_err(|error| match error {
            JsonError::NotAnObject(_) => HawkError::credentials("ext must be a JSON object"),
            _ => HawkError::credentials("Failed to parse ext"),
        })?;
        let certificate = match object.remove("certificate") {
            None | Some(Value::Null) => None,
            Some(Value::Object(certificate)) => Some(certificate),
            Some(_) => {
                return Err(HawkError::credentials("ext.certificate must be a JSON object"));
            }
        };
        let authorized_scopes = match object.remove("authorizedScopes") {
            None | Some(Value::Null) => None,
            Some(Value::Array(items)) => Some(scopes(items)?),
            Some(_) => return Err(HawkError::credentials("ext.authorizedScopes must be an array")),
        };
        Ok(Self { certificate, authorized_scopes })
    }
}

fn scopes(items: Vec<Value>) -> Result<Vec<Scope>, HawkError> {
    items
        .into_iter()
        .map(|item| match item {
            Value::String(text) => Scope::new(text).ok(),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            HawkError::credentials("ext.authorizedScopes must be an array of valid scopes")
        })
}
