//! A service's error response: its code, and the reason that its message gives.

use crate::credentials::{Scope, ScopeExpression};
use serde_json::Value;

/// The error that a service responded with, without what it repeats of the request.
///
/// ```
/// use taskcluster_proxy_core::proxy::ServiceError;
///
/// let body = r#"{"code":"ResourceNotFound","message":"no such task\n\n---\n\n* method:     task"}"#;
/// let error = ServiceError::parse(body.as_bytes()).unwrap();
/// assert_eq!(error.code(), "ResourceNotFound");
/// assert_eq!(error.to_line(), "no such task");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    code: String,
    message: String,
}

/// What the services give as the reason for a refusal, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason<'a> {
    /// The caller's scopes do not satisfy the rest of an expression.
    InsufficientScopes {
        caller: Option<&'a str>,
        missing: Option<ScopeExpression>,
    },
    /// authorizedScopes go beyond the credentials' own scopes, roles expanded.
    BeyondCredentials {
        credentials: Option<Vec<Scope>>,
    },
    BadMac,
    StaleTimestamp,
    TwoSchemes,
    ClientNotFound(&'a str),
    ClientDisabled(&'a str),
    ClientExpired(&'a str),
    CertificateExpired,
    CertificateNotYetValid,
    CertificateSignature,
    CertificateIssuer,
    /// Something else about the certificate.
    Certificate,
    /// Anything else.
    Other,
}

impl ServiceError {
    /// Reads the body of a response; `None`: it is not an error in the services' shape.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let Value::Object(mut members) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (code, mut message) = (text("code")?, text("message")?);
        // What follows repeats the method, the code and the status.
        if let Some(end) = message.find(SEPARATOR) {
            message.truncate(end);
        }
        Some(Self { code, message })
    }

    /// Its code, such as `InsufficientScopes`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Its message in one line.
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        for (index, part) in self.message.split("```").enumerate() {
            let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
            if !line.is_empty() && !words.is_empty() {
                line.push(' ');
            }
            match index % 2 {
                0 => line.push_str(&words),
                _ => line.push_str(&format!("`{words}`")),
            }
        }
        line
    }

    pub(super) fn reason(&self) -> Reason<'_> {
        let message = self.message.trim();
        match self.code.as_str() {
            "InsufficientScopes" => insufficient_scopes(message),
            "AuthenticationFailed" => authentication_failed(message),
            _ => Reason::Other,
        }
    }
}

/// What the services append to each message starts with this.
const SEPARATOR: &str = "\n\n---\n";

fn insufficient_scopes(message: &str) -> Reason<'_> {
    let (start, _) = message.split_once('\n').unwrap_or((message, ""));
    let caller = start.strip_prefix("Client ID ").and_then(|rest| rest.split_once(" does not "));
    let names_missing = start.trim_end().ends_with("missing the following scopes:");
    let missing = block(message).filter(|_| names_missing).and_then(expression);
    Reason::InsufficientScopes { caller: caller.map(|(caller, _)| caller), missing }
}

fn authentication_failed(message: &str) -> Reason<'_> {
    let client = |start: &str, end: &str| message.strip_prefix(start)?.strip_suffix(end);
    match message {
        "Unauthorized: Bad mac" => Reason::BadMac,
        "Unauthorized: Stale timestamp" => Reason::StaleTimestamp,
        "ext.certificate.expiry < now" => Reason::CertificateExpired,
        "ext.certificate.start > now" => Reason::CertificateNotYetValid,
        _ if message.starts_with("Cannot use two authentication schemes") => Reason::TwoSchemes,
        _ if message.starts_with("Supplied credentials do not satisfy authorizedScopes") => {
            let credentials = block(message).and_then(|lines| {
                lines.split('\n').map(|line| Scope::new(line).ok()).collect::<Option<_>>()
            });
            Reason::BeyondCredentials { credentials }
        }
        _ if message.starts_with("ext.certificate.signature is not valid") => {
            Reason::CertificateSignature
        }
        _ if message.starts_with("ext.certificate issuer ") => Reason::CertificateIssuer,
        _ if message.starts_with("ext.certificate") => Reason::Certificate,
        _ => {
            if let Some(client) = client("Client with clientId '", "' not found") {
                Reason::ClientNotFound(client)
            } else if let Some(client) = client("Client with clientId '", "' is disabled") {
                Reason::ClientDisabled(client)
            } else if let Some(client) = client("Client with clientId: '", "' has expired") {
                Reason::ClientExpired(client)
            } else {
                Reason::Other
            }
        }
    }
}

/// The content of the first fenced block. No line of it can be a fence: scopes have no line feeds.
fn block(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("\n```\n")?;
    rest.split_once("\n```").map(|(block, _)| block)
}

/// The services write a single scope as it is, and any other expression as JSON of several lines.
fn expression(block: &str) -> Option<ScopeExpression> {
    match block.contains('\n') {
        true => ScopeExpression::from_json(&serde_json::from_str(block).ok()?),
        false => Scope::new(block).ok().map(ScopeExpression::Scope),
    }
}
