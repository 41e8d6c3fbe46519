//! What the entries of more than one file say in the same way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;
use taskcluster_proxy_core::credentials::{
    AuthorizedScopes, Certificate, CertificateText, Credentials, Scope,
};

/// The content of `ext`, as the fixtures have it in the clear.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ExtJson {
    certificate: Option<Value>,
    authorized_scopes: Option<Vec<String>>,
}

/// The credentials with which such an `ext` goes along.
pub(crate) fn credentials(
    client_id: &str,
    access_token: &str,
    ext_json: Option<&Value>,
) -> Result<(Credentials, AuthorizedScopes), Failed> {
    let ext = ext_json.map(ExtJson::deserialize).transpose()?.unwrap_or_default();
    // In the order of its members in the fixtures, which a `Value` does not keep.
    let certificate = ext.certificate.map(|json| Certificate::parse(&json.to_string()));
    let mut credentials = Credentials::permanent(client_id, access_token)?;
    credentials.certificate = certificate.transpose()?.map(|it| CertificateText::new(it.to_json()));
    let authorized = ext.authorized_scopes.as_deref().map(scopes).transpose()?;
    Ok((credentials, authorized.into()))
}

/// The content of an `ext` that was written.
pub(crate) fn decoded(ext: Option<&str>) -> Result<Option<Value>, Failed> {
    let json = ext.map(|ext| STANDARD.decode(ext)).transpose()?;
    Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
}

/// What a request signed with `credentials` may do, where permanent clients hold `*`.
pub(crate) fn granted(
    credentials: &Credentials,
    authorized: &AuthorizedScopes,
) -> Result<Vec<Scope>, Failed> {
    let certificate = credentials.certificate.as_ref().map(|it| it.scopes().to_vec());
    let mut granted = match authorized.scopes().map(<[Scope]>::to_vec).or(certificate) {
        Some(scopes) => scopes,
        None => vec![Scope::new("*")?],
    };
    granted.push(Scope::new("assume:anonymous")?);
    Ok(granted)
}

pub(crate) fn scopes(texts: &[String]) -> Result<Vec<Scope>, Failed> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}
