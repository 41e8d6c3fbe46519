//! Parses a service's error response: its code, and the reason in its message.

use crate::credentials::{Scope, ScopeExpression};
use serde_json::Value;

/// The error in a service's response, without the details of the request that the service repeats.
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

/// The reason for which a service refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason<'a> {
    /// The scopes of the client do not satisfy `missing`.
    InsufficientScopes {
        client_id: Option<&'a str>,
        missing: Option<ScopeExpression>,
    },
    /// The credentials do not satisfy the authorizedScopes. `credentials` are their scopes, with roles
    /// expanded.
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
    CertificateClientId,
    CertificateScopes,
    /// Another reason that concerns the certificate, in the service's words.
    Certificate(&'a str),
    /// A reason that is not known here.
    Other,
}

impl ServiceError {
    /// Parses the body of a response. Returns `None` if it does not have the form of the services' errors.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let Value::Object(mut members) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (code, mut message) = (text("code")?, text("message")?);
        // The rest repeats the method, the code and the status.
        if let Some(end) = message.find(SEPARATOR) {
            message.truncate(end);
        }
        Some(Self { code, message })
    }

    /// The code of the error, such as `InsufficientScopes`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message in one line.
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

    /// Whether the service refused the time in the signature.
    pub fn is_stale_timestamp(&self) -> bool {
        self.reason() == Reason::StaleTimestamp
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

/// The start of the details of the request, which the services append to each message.
const SEPARATOR: &str = "\n\n---\n";

fn insufficient_scopes(message: &str) -> Reason<'_> {
    let (start, _) = message.split_once('\n').unwrap_or((message, ""));
    let client = start.strip_prefix("Client ID ").and_then(|rest| rest.split_once(" does not "));
    let names_missing = start.trim_end().ends_with("missing the following scopes:");
    let missing = fenced_block(message).filter(|_| names_missing).and_then(parse_expression);
    Reason::InsufficientScopes { client_id: client.map(|(client_id, _)| client_id), missing }
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
            let credentials = fenced_block(message).and_then(|lines| {
                lines.split('\n').map(|line| Scope::new(line).ok()).collect::<Option<_>>()
            });
            Reason::BeyondCredentials { credentials }
        }
        // The second is Node's error for a signature of the wrong length.
        _ if message.starts_with("ext.certificate.signature is not valid")
            || message == "Input buffers must have the same byte length" =>
        {
            Reason::CertificateSignature
        }
        _ if message.starts_with("ext.certificate issuer ") => {
            match message.contains("` doesn't satisfy all certificate scopes ") {
                true => Reason::CertificateScopes,
                false => Reason::CertificateClientId,
            }
        }
        _ if message.starts_with("ext.certificate") => Reason::Certificate(message),
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

/// The content of the first fenced block of a message. Returns `None` if its end is not certain, because a
/// scope contains a fence.
fn fenced_block(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("\n```\n")?;
    let (block, next) = rest.split_once("\n```\n\n")?;
    let is_end = AFTER_SCOPES.iter().any(|sentence| next.starts_with(sentence));
    is_end.then_some(block)
}

/// The sentences after the block with scopes; the second is that of services before release 28.
const AFTER_SCOPES: [&str; 3] = [
    "This request requires the client to satisfy",
    "You have the scopes:",
    "authorizedScopes are:",
];

/// Parses an expression in a message: the services write a single scope unchanged, and any other
/// expression as JSON of several lines.
fn parse_expression(block: &str) -> Option<ScopeExpression> {
    match block.starts_with(['{', '[']) && block.contains('\n') {
        true => ScopeExpression::from_json(&serde_json::from_str(block).ok()?),
        false => Some(ScopeExpression::Scope(block.to_owned())),
    }
}
