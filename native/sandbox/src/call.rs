//! A request on its way to its handler, and who it is from.

use super::auth::CLIENT_ID;
use super::endpoint::Params;
use super::failure::{Code, Failure};
use super::service::Deployment;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, Client, Scope, ScopeExpression, authenticate,
};
use taskcluster_proxy_core::hawk::{HawkError, RequestLine, UrlParts};

/// A request, but for its body.
pub(super) struct Call<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) head: &'a Parts,
    pub(super) params: Params,
    pub(super) now: Timestamp,
}

/// Who a request is from, and what it may do.
pub(super) struct Caller {
    /// `None`: anyone.
    pub(super) client_id: Option<String>,
    pub(super) scopes: Vec<Scope>,
    /// When the credentials cease to be valid; `None` for never.
    pub(super) expires: Option<Timestamp>,
    /// The payload hash that was signed, if any.
    pub(super) hash: Option<String>,
}

impl Call<'_> {
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.get(name)
    }

    /// Whether the query has `flag`, with or without a value.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.query(flag).is_some()
    }

    /// The value that `name` has in the query, as it stands there; empty where there is none.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let query = self.head.uri.query().unwrap_or_default();
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// What the signature has to cover: the request as it was received.
    fn request_line(&self) -> Result<RequestLine<'_>, HawkError> {
        let header = |name| self.head.headers.get(name).map(|value| value.to_str());
        let (host, port) = header(HOST)
            .and_then(|host| split_host(host.ok()?))
            .ok_or_else(|| HawkError::bad_request("Invalid Host header"))?;
        Ok(RequestLine {
            method: self.head.method.as_str(),
            url: UrlParts {
                host,
                port,
                resource: self.head.uri.path_and_query().map_or("/", |resource| resource.as_str()),
            },
            authorization: header(AUTHORIZATION)
                .transpose()
                .map_err(|_| HawkError::bad_request("Bad header format"))?
                .filter(|value| !value.is_empty()),
        })
    }
}

impl Caller {
    /// The caller of `call`, where the sandbox's client may do everything.
    pub(super) fn authenticate(call: &Call<'_>) -> Result<Self, Failure> {
        let everything = Scope::new("*").map_err(Failure::internal)?;
        Self::authenticate_with(call, vec![everything])
    }

    /// The caller of `call`, where the sandbox's client has `scopes`.
    pub(super) fn authenticate_with(call: &Call<'_>, scopes: Vec<Scope>) -> Result<Self, Failure> {
        Ok(Self::of(call, call.request_line()?, scopes)?)
    }

    /// The caller of a request that somebody else received.
    pub(super) fn of(
        call: &Call<'_>,
        request: RequestLine<'_>,
        scopes: Vec<Scope>,
    ) -> Result<Self, AuthenticateError> {
        let mut unknown = None;
        let verified = authenticate(request, call.now, |client_id| {
            if client_id != CLIENT_ID {
                unknown = Some(client_id.to_owned());
                return None;
            }
            let access_token = call.deployment.credentials.access_token.clone();
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

    /// Lets pass who satisfies `required`; others are told what they lack in the words of real services.
    pub(super) fn require(&self, required: &ScopeExpression) -> Result<(), Failure> {
        let Some(missing) = required.missing(&self.scopes) else {
            return Ok(());
        };
        Err(Failure::new(
            Code::InsufficientScopes,
            format!(
                "Client ID {} does not have sufficient scopes and is missing the following scopes:\n\n\
                 ```\n{}\n```\n\nThis request requires the client to satisfy the following scope \
                 expression:\n\n```\n{}\n```",
                self.client_id(),
                shown(&missing),
                shown(required)
            ),
        ))
    }

    /// What the services call the caller, also one that makes no claim.
    pub(super) fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or("auth-failed:no-auth")
    }
}

/// A single scope as it is, anything else as JSON of several lines.
fn shown(expression: &ScopeExpression) -> String {
    match expression {
        ScopeExpression::Scope(scope) => scope.to_string(),
        other => format!("{:#}", other.to_json()),
    }
}

/// A Host header's host and port; 80 where it has none, for the sandbox speaks no TLS.
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
