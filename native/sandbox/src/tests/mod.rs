//! Tests over real sockets, with requests that are signed with the core's signer.

mod artifacts;
mod auth;
mod claims;
mod http;
mod object;
mod queue;
mod secrets;

use super::Sandbox;
use super::payload::parse_rfc3339;
use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{AuthorizedScopes, Credentials, Scope, Signer};
use taskcluster_proxy_core::hawk::parse_url;
use tokio::net::TcpStream;

/// A sandbox and a client.
struct SandboxTest {
    sandbox: Sandbox,
    signer: Option<Signer>,
}

struct HandlerResult {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl SandboxTest {
    async fn start() -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let signer = Some(Signer::new(&sandbox.credentials()).unwrap());
        Self { sandbox, signer }
    }

    /// Does not sign requests from now on.
    fn unsigned(mut self) -> Self {
        self.signer = None;
        self
    }

    /// Signs requests with `credentials` from now on.
    fn signed_with(mut self, credentials: &Credentials) -> Self {
        self.signer = Some(Signer::new(credentials).unwrap());
        self
    }

    /// Signs requests with the sandbox's credentials, restricted to `scopes`, from now on.
    fn restricted_to(mut self, scopes: &[&str]) -> Self {
        let credentials = self.sandbox.credentials();
        let scopes = scopes.iter().map(|scope| Scope::new(*scope).unwrap()).collect();
        let scopes = AuthorizedScopes::Only(scopes);
        self.signer = Some(Signer::restricted(&credentials, &scopes).unwrap());
        self
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.root_url())
    }

    fn bewit(&self, path: &str, expires: Timestamp) -> String {
        let signer = self.signer.as_ref().unwrap();
        let url = signer.bewit(&parse_url(&self.url(path)).unwrap(), expires).unwrap();
        url.as_str().strip_prefix(&self.sandbox.root_url().to_string()).unwrap().to_owned()
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let mut request =
            axum::http::Request::builder().method(method).uri(self.url(path)).body(()).unwrap();
        if let Some(signer) = &self.signer {
            request = signer.sign(request, now(), "j4h3g2").unwrap();
        }
        let host = self.sandbox.root_url().authority().to_string();
        let mut builder =
            axum::http::Request::builder().method(method).uri(path).header("host", host);
        builder.headers_mut().unwrap().extend(std::mem::take(request.headers_mut()));
        builder
    }

    async fn send(&self, request: axum::http::Request<Full<Bytes>>) -> HandlerResult {
        let address = self.sandbox.root_url().authority().to_string();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        assert!(head.headers.contains_key("date"));
        HandlerResult { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> HandlerResult {
        self.send(self.request("GET", path).body(Full::default()).unwrap()).await
    }

    async fn call(&self, method: &str, path: &str, payload: Value) -> HandlerResult {
        self.call_raw(method, path, payload.to_string()).await
    }

    /// Sends a body with `Content-Type: application/json`.
    async fn call_raw(&self, method: &str, path: &str, body: impl Into<Bytes>) -> HandlerResult {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }
}

impl HandlerResult {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The body of a successful response.
    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of an error response in the form of the services.
    #[track_caller]
    fn refused(&self, status: u16, code: &str, reason: &str) -> Value {
        let error: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((self.status, error["code"].as_str().unwrap()), (status, code), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
        let info = &error["requestInfo"];
        assert!(info["method"].is_string() && info["params"].is_object(), "{error}");
        assert!(parse_rfc3339(info["time"].as_str().unwrap()).is_some(), "{error}");
        error
    }
}

fn now() -> Timestamp {
    Timestamp::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

/// The time `hours` from now, as text for JSON.
fn hours(hours: u64) -> String {
    now().plus(Duration::from_secs(hours * 3600)).to_rfc3339()
}

const TASK_ID: &str = "fN1SbArXTPSVFNUvaOlinQ";

/// A task definition that createTask accepts.
fn definition() -> Value {
    json!({
        "provisionerId": "proj", "workerType": "ci",
        "created": hours(0), "deadline": hours(1),
        "scopes": ["secrets:get:a/*"],
        "payload": {},
        "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
    })
}
