//! A request on its way to its handler, and who it is from.

use super::auth::CLIENT_ID;
use super::endpoint::Params;
use super::failure::{Code, Failure};
use super::service::Deployment;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, Client, Scope, authenticate, missing_scopes,
};
use taskcluster_proxy_core::hawk::{HawkError, RequestLine};

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
            resource: self.head.uri.path_and_query().map_or("/", |resource| resource.as_str()),
            host,
            port,
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
        let verified = authenticate(request, call.now, |client_id| {
            let access_token = call.deployment.credentials.access_token.clone();
            (client_id == CLIENT_ID).then_some(Client { access_token, scopes, expires: None })
        })?;
        Ok(match verified {
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

    /// Lets pass who holds each of `required`.
    pub(super) fn require(&self, required: &[Scope]) -> Result<(), Failure> {
        let missing = missing_scopes(&self.scopes, required);
        if missing.is_empty() {
            return Ok(());
        }
        // In blocks of their own, as real services list them.
        let list = |scopes: &mut dyn Iterator<Item = &Scope>| {
            let lines: String = scopes.map(|scope| format!("{scope}\n")).collect();
            format!("\n\n```\n{lines}```\n\n")
        };
        Err(Failure::new(
            Code::InsufficientScopes,
            format!(
                "{} lacks scopes that this request needs:{}It has:{}",
                match &self.client_id {
                    Some(client_id) => format!("client ID {client_id}"),
                    None => "a request without credentials".to_owned(),
                },
                list(&mut missing.into_iter()),
                list(&mut self.scopes.iter()),
            ),
        ))
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
