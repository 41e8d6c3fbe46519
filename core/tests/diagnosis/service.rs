//! Refusals in the words and the shape of Taskcluster's services (release 106): lib-api's authentication
//! and error middleware, and the auth service's signature validator.

use serde_json::{Value, json};

/// The body of a 403 of lib-api. `missing` and `required` are scope expressions.
pub(crate) fn insufficient_scopes(client_id: &str, missing: &Value, required: &Value) -> Vec<u8> {
    let message = format!(
        "Client ID {client_id} does not have sufficient scopes and is missing the following \
         scopes:\n\n```\n{}\n```\n\nThis request requires the client to satisfy the following scope \
         expression:\n\n```\n{}\n```",
        block(missing),
        block(required)
    );
    error("InsufficientScopes", 403, &message)
}

/// The body of a 401, with the message of the auth service.
pub(crate) fn authentication_failed(message: &str) -> Vec<u8> {
    error("AuthenticationFailed", 401, message)
}

/// The auth service's message where authorizedScopes go beyond the credentials.
pub(crate) fn beyond_credentials(credentials: &[&str], authorized: &[&str]) -> Vec<u8> {
    authentication_failed(&format!(
        "Supplied credentials do not satisfy authorizedScopes; credentials have scopes:\n\n```\n{}\
         \n```\n\nauthorizedScopes are:\n\n```\n{}\n```",
        credentials.join("\n"),
        authorized.join("\n")
    ))
}

/// A string stands in a message as it is, anything else as `JSON.stringify(value, null, 2)`.
fn block(expression: &Value) -> String {
    match expression {
        Value::String(scope) => scope.clone(),
        other => serde_json::to_string_pretty(other).unwrap(),
    }
}

pub(crate) fn error(code: &str, status: u16, message: &str) -> Vec<u8> {
    let time = "2026-01-01T00:00:00.000Z";
    let message = format!(
        "{message}\n\n---\n\n* method:     someMethod\n* errorCode:  {code}\n* statusCode: \
         {status}\n* time:       {time}"
    );
    let info = json!({ "method": "someMethod", "params": {}, "payload": {}, "time": time });
    json!({ "code": code, "message": message, "requestInfo": info }).to_string().into_bytes()
}
