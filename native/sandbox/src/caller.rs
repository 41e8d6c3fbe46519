//! Authenticates the caller of a request.

use super::auth::CLIENT_ID;
use super::deployment::{Deployment, Shared, now};
use super::failure::Failure;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Uri};
use std::convert::Infallible;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, Client, Scope, ScopeExpression, authenticate,
};
use taskcluster_proxy_core::hawk::{HawkError, ReceivedRequest, UrlParts};

/// The caller of a request, and its scopes.
pub(super) struct Caller {
    /// `None` for a request without a signature.
    pub(super) client_id: Option<String>,
    pub(super) scopes: Vec<Scope>,
    /// The end of the validity of the credentials; `None` for never.
    pub(super) expires: Option<Timestamp>,
    /// The payload hash that was signed, if any.
    pub(super) hash: Option<String>,
}

/// Owns the parts of a [`ReceivedRequest`], which may have no signature.
pub(super) struct SignedRequest {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
}

impl<S: Send + Sync> FromRequestParts<S> for SignedRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // The URI of a request in a nested router has no prefix.
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        let header = |name| parts.headers.get(name).cloned();
        let (host, authorization) = (header(HOST), header(AUTHORIZATION));
        Ok(Self { method: parts.method.clone(), uri, host, authorization })
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        let Ok(signed) = SignedRequest::from_request_parts(parts, state).await;
        signed.caller(state)
    }
}

impl SignedRequest {
    /// The caller, if the sandbox's client has all scopes.
    pub(super) fn caller(&self, deployment: &Deployment) -> Result<Caller, Failure> {
        let everything = Scope::new("*").map_err(Failure::internal)?;
        self.caller_with(deployment, vec![everything])
    }

    /// The caller, if the sandbox's client has `scopes`.
    pub(super) fn caller_with(
        &self,
        deployment: &Deployment,
        scopes: Vec<Scope>,
    ) -> Result<Caller, Failure> {
        let received = self.received()?;
        Ok(Caller::authenticate(received, deployment, now(), scopes)?)
    }

    fn received(&self) -> Result<ReceivedRequest<'_>, HawkError> {
        let (host, port) = self
            .host
            .as_ref()
            .and_then(|host| split_host(host.to_str().ok()?))
            .ok_or_else(|| HawkError::bad_request("Invalid Host header"))?;
        Ok(ReceivedRequest {
            method: self.method.as_str(),
            url: UrlParts {
                host,
                port,
                resource: self.uri.path_and_query().map_or("/", |resource| resource.as_str()),
            },
            authorization: self
                .authorization
                .as_ref()
                .map(HeaderValue::to_str)
                .transpose()
                .map_err(|_| HawkError::bad_request("Bad header format"))?
                .filter(|value| !value.is_empty()),
        })
    }
}

impl Caller {
    /// Authenticates a request, where the sandbox's client has `scopes`.
    pub(super) fn authenticate(
        request: ReceivedRequest<'_>,
        deployment: &Deployment,
        now: Timestamp,
        scopes: Vec<Scope>,
    ) -> Result<Self, AuthenticateError> {
        let mut unknown = None;
        let verified = authenticate(request, now, |client_id| {
            if client_id != CLIENT_ID {
                unknown = Some(client_id.to_owned());
                return None;
            }
            let access_token = deployment.credentials.access_token.clone();
            Some(Client { access_token, scopes, expires: None })
        });
        if let Some(client_id) = unknown {
            let reason = format!("Client with clientId '{client_id}' not found");
            return Err(HawkError::credentials(reason));
        }
        Ok(match verified? {
            Some(verified) => Self {
                client_id: Some(verified.client_id),
                scopes: verified.scopes,
                expires: verified.expires,
                hash: verified.hash,
            },
            None => Self {
                client_id: None,
                scopes: Scope::new("assume:anonymous").into_iter().collect(),
                expires: None,
                hash: None,
            },
        })
    }

    /// Rejects a caller that does not satisfy `required`. The error names the missing scopes.
    pub(super) fn require(&self, required: ScopeExpression) -> Result<(), Failure> {
        let Some(missing) = required.missing(&self.scopes) else {
            return Ok(());
        };
        Err(Failure::Scopes {
            client_id: self.client_id().to_owned(),
            missing: shown(&missing),
            required: shown(&required),
        })
    }

    /// The clientId as in the services, which have one for requests without a signature as well.
    pub(super) fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or("auth-failed:no-auth")
    }
}

/// A single scope unchanged, any other expression as JSON of several lines.
fn shown(expression: &ScopeExpression) -> String {
    match expression {
        ScopeExpression::Scope(scope) => scope.clone(),
        other => format!("{:#}", other.to_json()),
    }
}

/// The host and port of a `Host` header field. The default port is 80, because the sandbox has no TLS.
fn split_host(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_has_a_host_and_a_port() {
        for (text, expected) in [
            ("localhost", Some(("localhost", 80))),
            ("127.0.0.1:8080", Some(("127.0.0.1", 8080))),
            ("[::1]", Some(("[::1]", 80))),
            ("[::1]:8080", Some(("[::1]", 8080))),
            ("h:65536", None),
            ("h:", None),
            (":80", None),
            ("", None),
        ] {
            assert_eq!(split_host(text), expected, "{text:?}");
        }
    }
}
