//! The signature of a received request: reading it, and verifying it with a key.

use super::{
    Artifacts, AuthorizationHeader, Bewit, HawkError, Key, Kind, MAX_SKEW, UrlParts, split_bewit,
};
use crate::Timestamp;
use std::borrow::Cow;
use std::fmt;

/// The parts of a received request that are needed to verify its signature.
#[derive(Clone, Copy)]
pub struct ReceivedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL to which the request was sent, with the path and query as received.
    pub url: UrlParts<'a>,
    /// The `Authorization` header, if there is one.
    pub authorization: Option<&'a str>,
}

/// The clientId and the signature of a received request, which are not verified yet.
///
/// ```
/// use taskcluster_proxy_core::hawk::{Claim, ReceivedRequest, UrlParts};
///
/// let url = UrlParts { host: "tc.example.com", port: 443, resource: "/x" };
/// let authorization = Some(r#"Hawk id="tester", ts="1", nonce="n", mac="m=""#);
/// let claim = Claim::read(ReceivedRequest { method: "GET", url, authorization })?;
/// assert_eq!(claim.unwrap().id(), "tester");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Claim<'a> {
    kind: Kind,
    request: ReceivedRequest<'a>,
    resource: Cow<'a, str>,
    id: Cow<'a, str>,
    ts: u64,
    nonce: &'a str,
    mac: Cow<'a, str>,
    hash: Option<&'a str>,
    ext: Option<Cow<'a, str>>,
}

fn claim_from_header<'a>(
    request: ReceivedRequest<'a>,
    authorization: &'a str,
) -> Result<Claim<'a>, HawkError> {
    let header = AuthorizationHeader::parse(authorization)?;
    Ok(Claim {
        kind: Kind::Header,
        request,
        resource: request.url.resource.into(),
        id: header.id.into(),
        ts: header.ts,
        nonce: header.nonce,
        mac: header.mac.into(),
        hash: header.hash,
        ext: header.ext.map(Cow::Borrowed),
    })
}

fn claim_from_bewit<'a>(
    request: ReceivedRequest<'a>,
    resource: String,
    bewit: &str,
) -> Result<Claim<'a>, HawkError> {
    if request.url.resource.len() > super::MAX_MATCH_LENGTH {
        return Err(HawkError::bad_request("Resource path exceeds max length"));
    }
    if bewit.is_empty() {
        return Err(HawkError::unauthorized("Empty bewit"));
    }
    if !matches!(request.method, "GET" | "HEAD") {
        return Err(HawkError::unauthorized("Invalid method"));
    }
    let bewit = Bewit::decode(bewit)?;
    Ok(Claim {
        kind: Kind::Bewit,
        request,
        resource: resource.into(),
        id: bewit.id.into(),
        ts: bewit.exp,
        nonce: "",
        mac: bewit.mac.into(),
        hash: None,
        ext: Some(bewit.ext).filter(|ext| !ext.is_empty()).map(Cow::Owned),
    })
}

/// Leaves out the header and the resource, which may contain a bewit: anyone could send the request
/// again with them.
impl fmt::Debug for ReceivedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.method)
            .field("host", &self.url.host)
            .field("port", &self.url.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("kind", &self.kind)
            .field("request", &self.request)
            .field("id", &self.id)
            .field("ts", &self.ts)
            .finish_non_exhaustive()
    }
}

impl<'a> Claim<'a> {
    /// Reads the signature of a request from its `Authorization` header or its bewit. Returns `None` if
    /// it has neither.
    ///
    /// # Errors
    ///
    /// The signature cannot be read, the request has both a header and a bewit, or a bewit is used with
    /// a method other than GET and HEAD.
    pub fn read(request: ReceivedRequest<'a>) -> Result<Option<Self>, HawkError> {
        match (split_bewit(request.url.resource), request.authorization) {
            // The services ignore an empty bewit if there is a header.
            (Some((_, bewit)), Some(_)) if !bewit.is_empty() => {
                Err(HawkError::credentials("Cannot use two authentication schemes at once"))
            }
            (_, Some(authorization)) => claim_from_header(request, authorization).map(Some),
            (Some((resource, bewit)), None) => claim_from_bewit(request, resource, bewit).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Whether the signature is in the header or in a bewit.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The clientId in the signature, not verified.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The application data of the signature.
    pub fn ext(&self) -> Option<&str> {
        self.ext.as_deref()
    }

    /// The MAC of the request, not verified.
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// The payload hash in the signature. A server that has the body can compare it.
    pub(crate) fn hash(&self) -> Option<&str> {
        self.hash
    }

    /// The artifacts that the MAC must cover.
    pub fn artifacts(&self) -> Artifacts<'_> {
        Artifacts {
            kind: self.kind,
            ts: self.ts,
            nonce: self.nonce,
            // A bewit is signed for GET and also valid for HEAD (docs/protocol.md, "Bewit").
            method: if self.kind == Kind::Bewit { "GET" } else { self.request.method },
            url: UrlParts { resource: &self.resource, ..self.request.url },
            hash: self.hash,
            ext: self.ext(),
        }
    }

    /// Verifies the signature with the key of [`id`](Self::id).
    ///
    /// # Errors
    ///
    /// The MAC is wrong, the `ts` of a header differs from `now` by more than [`MAX_SKEW`], or a bewit
    /// has expired.
    pub(crate) fn verify(&self, key: &Key, now: Timestamp) -> Result<(), HawkError> {
        if !key.mac(&self.artifacts()).verifies(&self.mac) {
            return Err(HawkError::unauthorized("Bad mac"));
        }
        let ts = Timestamp::from_secs(self.ts);
        match self.kind {
            Kind::Header if ts.distance(now) > MAX_SKEW => {
                Err(HawkError::unauthorized("Stale timestamp"))
            }
            Kind::Bewit if ts <= now => Err(HawkError::unauthorized("Access expired")),
            Kind::Header | Kind::Bewit => Ok(()),
        }
    }
}
