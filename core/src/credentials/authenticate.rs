//! Authenticating a request as Taskcluster's auth service does.

use super::ext::{self, ReceivedExt};
use super::{AccessToken, CERTIFICATE_SKEW, Certificate, MAX_DURATION, Scope, satisfies};
use crate::Timestamp;
use crate::hawk::{Claim, HawkError, Key, Kind, ReceivedRequest};
use crate::json::{JsonValue, non_null_member, parse, string};

/// A client in the auth service's database.
#[derive(Clone, Debug)]
pub struct Client {
    /// The secret of the client.
    pub access_token: AccessToken,
    /// The scopes of the client, with roles expanded.
    pub scopes: Vec<Scope>,
    /// The end of the validity; `None` for never.
    pub expires: Option<Timestamp>,
}

/// The result of authenticating a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The clientId.
    pub client_id: String,
    /// The scopes of the request, including `assume:anonymous`.
    pub scopes: Vec<Scope>,
    /// The end of the validity of the credentials or the bewit; `None` for never.
    pub expires: Option<Timestamp>,
    /// The payload hash that the signature covers, if any. It is not compared with the payload.
    pub hash: Option<String>,
}

/// Why a request was not authenticated: `AuthenticationFailed`, status 401, with the message that
/// clients of Taskcluster see.
pub type AuthenticateError = HawkError;

/// The scope that every request has.
const ANONYMOUS: &str = "assume:anonymous";

/// Authenticates a request as Taskcluster's auth service does. Returns `None` for a request without
/// a signature, which is allowed where no scopes are needed.
///
/// `clients` looks up a client by its clientId. It is called once; for named temporary credentials
/// with the clientId of the issuer.
///
/// ```
/// use taskcluster_proxy_core::{Timestamp, credentials::*, hawk::{ReceivedRequest, UrlParts}};
///
/// let credentials = Credentials::permanent("tester", "no-secret")?;
/// let now = Timestamp::from_secs(1_767_225_600);
/// let url = "https://tc.example.com/api/auth/v1/test-authenticate-get/";
/// let request = http::Request::get(url).body(())?;
/// let request = Signer::new(&credentials)?.sign(request, now, "j4h3g2")?;
///
/// let request = ReceivedRequest {
///     method: "GET",
///     url: UrlParts::try_from(request.uri())?,
///     authorization: Some(request.headers()["authorization"].to_str()?),
/// };
/// let verified = authenticate(request, now, |client_id| {
///     assert_eq!(client_id, "tester");
///     let access_token = credentials.access_token.clone();
///     Some(Client { access_token, scopes: vec![], expires: None })
/// })?;
/// assert_eq!(verified.unwrap().client_id, "tester");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The signature cannot be read, the client is unknown or expired, the certificate is invalid, the
/// credentials do not satisfy the authorizedScopes, or the MAC or the time is wrong.
pub fn authenticate(
    request: ReceivedRequest<'_>,
    now: Timestamp,
    clients: impl FnOnce(&str) -> Option<Client>,
) -> Result<Option<Verified>, AuthenticateError> {
    let Some(claim) = Claim::read(request)? else {
        return Ok(None);
    };
    let json = claim.ext().map(ext::decode).transpose()?;
    let parsed = json.as_ref().map(|json| parse(json.as_bytes()).map_err(|_| ext::not_json()));
    verify(&claim, parsed.transpose()?.as_ref(), now, clients).map(Some)
}

/// Authenticates a request like [`authenticate`], with `parse` as the JSON parser. `parse` returns
/// `None` for a text that is not JSON.
///
/// # Errors
///
/// As [`authenticate`].
pub fn authenticate_with<V: JsonValue>(
    request: ReceivedRequest<'_>,
    now: Timestamp,
    parse: impl FnOnce(&str) -> Option<V>,
    clients: impl FnOnce(&str) -> Option<Client>,
) -> Result<Option<Verified>, AuthenticateError> {
    let Some(claim) = Claim::read(request)? else {
        return Ok(None);
    };
    let json = claim.ext().map(ext::decode).transpose()?;
    let parsed = json.as_ref().map(|json| parse(json).ok_or_else(ext::not_json));
    verify(&claim, parsed.transpose()?.as_ref(), now, clients).map(Some)
}

fn verify(
    claim: &Claim<'_>,
    ext: Option<&impl JsonValue>,
    now: Timestamp,
    clients: impl FnOnce(&str) -> Option<Client>,
) -> Result<Verified, HawkError> {
    let mut identity = load(claim.id(), ext, now, clients)?;
    claim.verify(&identity.key, now)?;
    if claim.kind() == Kind::Bewit {
        let expiry = Timestamp::from_secs(claim.artifacts().ts);
        identity.expires = Some(identity.expires.map_or(expiry, |expires| expires.min(expiry)));
    }
    Ok(Verified {
        client_id: claim.id().to_owned(),
        scopes: identity.scopes,
        expires: identity.expires,
        hash: claim.hash().map(str::to_owned),
    })
}

/// The key with which a request must be signed, and the scopes that it then has.
struct Identity {
    key: Key,
    scopes: Vec<Scope>,
    expires: Option<Timestamp>,
}

fn load(
    id: &str,
    ext: Option<&impl JsonValue>,
    now: Timestamp,
    clients: impl FnOnce(&str) -> Option<Client>,
) -> Result<Identity, HawkError> {
    let ext = ext.map(ReceivedExt::new).transpose()?;
    let (certificate, authorized_scopes) =
        ext.map_or((None, None), |ext| (ext.certificate, ext.authorized_scopes));
    let issuer =
        certificate.as_ref().and_then(|certificate| non_null_member(certificate, "issuer"));
    let issuer = issuer.map(string).transpose();
    let issuer =
        issuer.map_err(|_| HawkError::credentials("ext.certificate.issuer must be a string"))?;
    let issuer = issuer.as_ref().map(|issuer| issuer.as_str());
    if issuer == Some(id) {
        let reason = "ext.certificate.issuer must differ from the supplied clientId";
        return Err(HawkError::credentials(reason));
    }
    let looked_up = issuer.unwrap_or(id);
    let client =
        clients(looked_up).ok_or_else(|| HawkError::unauthorized("Unknown credentials"))?;
    if client.expires.is_some_and(|expires| expires <= now) {
        let reason = format!("Client with clientId: '{looked_up}' has expired");
        return Err(HawkError::credentials(reason));
    }
    let mut identity = Identity {
        key: client.access_token.key(),
        scopes: with_anonymous(client.scopes)?,
        expires: client.expires,
    };
    if let Some(certificate) = &certificate {
        let certificate = Certificate::from_value(certificate)
            .map_err(|error| HawkError::credentials(format!("ext.certificate: {error}")))?;
        check_certificate(&certificate, id, looked_up, &identity, now)?;
        let expiry = certificate.expiry();
        identity = Identity {
            key: certificate.access_token(&identity.key).key(),
            scopes: with_anonymous(certificate.scopes().to_vec())?,
            expires: Some(identity.expires.map_or(expiry, |expires| expires.min(expiry))),
        };
    }
    if let Some(authorized_scopes) = authorized_scopes {
        if !satisfies(&identity.scopes, &authorized_scopes) {
            return Err(HawkError::credentials(format!(
                "Supplied credentials do not satisfy authorizedScopes; credentials have \
                 scopes:\n\n```\n{}\n```\n\nauthorizedScopes are:\n\n```\n{}\n```",
                join(&identity.scopes, "\n"),
                join(&authorized_scopes, "\n")
            )));
        }
        identity.scopes = with_anonymous(authorized_scopes)?;
    }
    Ok(identity)
}

fn check_certificate(
    certificate: &Certificate,
    id: &str,
    issuer: &str,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), HawkError> {
    let (start, expiry) = (certificate.start(), certificate.expiry());
    let reason = if start > now.plus(CERTIFICATE_SKEW) {
        "ext.certificate.start > now".to_owned()
    } else if expiry < now.minus(CERTIFICATE_SKEW) {
        "ext.certificate.expiry < now".to_owned()
    } else if expiry > start.plus(MAX_DURATION) {
        "ext.certificate cannot last longer than 31 days!".to_owned()
    } else if issuer != id && !may_create(&identity.scopes, id) {
        format!(
            "ext.certificate issuer `{issuer}` doesn't have `auth:create-client:{id}` for supplied \
             clientId."
        )
    } else if !satisfies(&identity.scopes, certificate.scopes()) {
        format!(
            "ext.certificate issuer `{issuer}` doesn't satisfy all certificate scopes {}.  The \
             temporary credentials were not generated correctly.",
            join(certificate.scopes(), ", ")
        )
    } else if certificate.verifies(&identity.key, id) {
        return Ok(());
    } else if certificate.issuer().is_some() {
        "ext.certificate.signature is not valid, or wrong clientId provided".to_owned()
    } else {
        "ext.certificate.signature is not valid".to_owned()
    };
    Err(HawkError::credentials(reason))
}

fn may_create(scopes: &[Scope], client_id: &str) -> bool {
    let required = format!("auth:create-client:{client_id}");
    scopes.iter().any(|scope| scope.satisfies(&required))
}

/// `scopes` and `assume:anonymous`, which is added before and after the check of authorizedScopes
/// (docs/protocol.md, "Scopes").
fn with_anonymous(mut scopes: Vec<Scope>) -> Result<Vec<Scope>, HawkError> {
    let anonymous =
        Scope::new(ANONYMOUS).map_err(|error| HawkError::credentials(error.to_string()))?;
    if !scopes.contains(&anonymous) {
        scopes.push(anonymous);
    }
    Ok(scopes)
}

fn join(scopes: &[Scope], separator: &str) -> String {
    let mut text = String::new();
    for (index, scope) in scopes.iter().enumerate() {
        text.push_str(if index > 0 { separator } else { "" });
        text.push_str(scope.as_str());
    }
    text
}
