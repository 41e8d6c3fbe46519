//! One request: find the endpoint, check who asks, read the body, response.

use super::call::{Call, Caller};
use super::compression::compress;
use super::endpoint::{Handler, find};
use super::failure::{Code, Failure, RequestInfo};
use super::payload::{self, Object};
use super::response::{HandlerResult, ServiceResponse};
use super::state::State;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Credentials;

/// What the connections share.
pub(super) struct Deployment {
    pub(super) root_url: String,
    /// The client, and the issuer of tasks' temporary credentials.
    pub(super) credentials: Credentials,
    state: Mutex<State>,
}

impl Deployment {
    pub(super) fn new(root_url: String, credentials: Credentials) -> io::Result<Self> {
        let state = State::seeded(now()).map_err(io::Error::other)?;
        Ok(Self { root_url, credentials, state: Mutex::new(state) })
    }

    pub(super) async fn response(&self, request: Request<Incoming>) -> ServiceResponse {
        let now = now();
        let (head, mut body) = request.into_parts();
        let mut info = RequestInfo::new(now);
        let response = self.serve(&head, &mut body, now, &mut info).await;
        // With some of the body unread the connection would be reset, the response perhaps with it.
        let _ = count(&mut body, LINGER).await;
        let response = response.unwrap_or_else(|failure| failure.into_reply(info));
        compress(&head.headers, response)
    }

    async fn serve(
        &self,
        head: &Parts,
        body: &mut Incoming,
        now: Timestamp,
        info: &mut RequestInfo,
    ) -> HandlerResult {
        let (endpoint, params) = find(head.method.as_str(), head.uri.path())?;
        info.method = endpoint.name;
        info.params = params.to_json();
        let call = Call { deployment: self, head, params, now };
        if !endpoint.scopes.is_empty() {
            let required = call.params.all_of(endpoint.scopes)?;
            Caller::authenticate(&call)?.require(&required)?;
        }
        match endpoint.handler {
            Handler::Plain(handle) => handle(&call, &mut self.state()),
            Handler::Json(handle) => {
                let object = read_object(&head.headers, body).await?;
                let response = handle(&call, &object, &mut self.state());
                if response.is_err() {
                    info.payload = object;
                }
                response
            }
            Handler::SecretJson(handle) => {
                info.payload.insert("secret".to_owned(), "(OMITTED)".into());
                let object = read_object(&head.headers, body).await?;
                handle(&call, &object, &mut self.state())
            }
            Handler::Content(handle) => {
                let content = collect(body).await?;
                handle(&call, content, &mut self.state())
            }
            Handler::Sink(handle) => handle(count(body, u64::MAX).await?),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Handlers change the state last, so one that panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only place that reads the clock.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since_epoch)
}

async fn read_object(headers: &HeaderMap, body: &mut Incoming) -> Result<Object, Failure> {
    let content = collect(body).await?;
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    if !essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Err(Failure::new(
            Code::MalformedPayload,
            format!(
                "expected a payload with Content-Type: application/json, found {}",
                match essence {
                    b"" => "none".into(),
                    other => String::from_utf8_lossy(other),
                }
            ),
        ));
    }
    payload::parse(&content)
}

async fn collect(body: &mut Incoming) -> Result<Bytes, Failure> {
    let mut content = BytesMut::new();
    while let Some(piece) = next(body).await? {
        if content.len() + piece.len() > MAX_BODY {
            return Err(Failure::new(
                Code::InputTooLarge,
                format!("expected a body of at most {MAX_BODY} bytes, found a larger one"),
            ));
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}

/// Reads `body` away, up to about `limit` bytes, and says how many there were.
async fn count(body: &mut Incoming, limit: u64) -> Result<u64, Failure> {
    let mut length = 0;
    while length < limit
        && let Some(piece) = next(body).await?
    {
        length += piece.len() as u64;
    }
    Ok(length)
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(Code::MalformedPayload, format!("the body broke off: {error}"))
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// As the services cap JSON bodies, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// How much of a body that is of no use is read before the connection is given up, in bytes.
const LINGER: u64 = 64 * 1024 * 1024;
