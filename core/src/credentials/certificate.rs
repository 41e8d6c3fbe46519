//! Valid certificates: issuing, writing, reading and verifying them.

use super::{AccessToken, ClientId, JsonError, Scope};
use crate::Timestamp;
use crate::hawk::{Key, Mac};
use crate::json::{
    JsonValue, expect_object, items, non_null_member, number, parse, read_member, string,
};
use serde::Serialize;
use std::fmt;
use zeroize::Zeroizing;

/// The certificate of temporary credentials: the issuer's signature over their scopes and lifetime.
///
/// Options, environment variables and `PUT /credentials` contain it as a JSON string, `ext` as an
/// object. For signing its text is kept unchanged, as [`CertificateText`](super::CertificateText).
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) scopes: Vec<Scope>,
    pub(super) start: Timestamp,
    pub(super) expiry: Timestamp,
    pub(super) seed: Zeroizing<String>,
    pub(super) issuer: Option<ClientId>,
    signature: Zeroizing<String>,
}

/// The members of a certificate in the order in which the services write them.
#[derive(Serialize)]
struct Members<'a> {
    version: u64,
    scopes: &'a [Scope],
    start: u64,
    expiry: u64,
    seed: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a ClientId>,
    signature: &'a str,
}

/// The length of a seed: two slugids.
const SEED_LENGTH: usize = 44;

impl Certificate {
    /// Reads a certificate from its JSON text.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object, or a member is missing or invalid: `version` (1), `scopes`,
    /// `start`, `expiry`, `seed` (44 characters), `signature` or, if present, `issuer`. The error never
    /// repeats a value.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::from_value(&parse(text.as_bytes())?)
    }

    /// Reads a certificate from a parsed JSON value.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_value(object: &impl JsonValue) -> Result<Self, JsonError> {
        expect_object(object)?;
        version(object)?;
        Ok(Self {
            scopes: scopes(object)?,
            start: start(object)?,
            expiry: expiry(object)?,
            seed: seed(object)?,
            issuer: issuer(object)?,
            signature: signature(object)?,
        })
    }

    /// Issues the certificate with which the owner of `issuer_key` grants `scopes` to `client_id`.
    pub(super) fn issue(
        issuer_key: &Key,
        client_id: &ClientId,
        issuer: Option<ClientId>,
        scopes: Vec<Scope>,
        lifetime: [Timestamp; 2],
        seed: String,
    ) -> Self {
        let [start, expiry] = lifetime;
        let (seed, signature) = (Zeroizing::new(seed), Zeroizing::default());
        let mut unsigned = Self { scopes, start, expiry, seed, issuer, signature };
        let signature = unsigned.sign(issuer_key, client_id.as_str());
        unsigned.signature = Zeroizing::new(signature.to_string());
        unsigned
    }

    /// The scopes of the temporary credentials.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The start of the validity.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The end of the validity.
    pub fn expiry(&self) -> Timestamp {
        self.expiry
    }

    /// The clientId of the issuer, for named credentials.
    pub(super) fn issuer(&self) -> Option<&ClientId> {
        self.issuer.as_ref()
    }

    /// The certificate as JSON.
    pub fn to_json(&self) -> String {
        let members = Members {
            version: 1,
            scopes: &self.scopes,
            start: self.start.millis(),
            expiry: self.expiry.millis(),
            seed: &self.seed,
            issuer: self.issuer.as_ref(),
            signature: &self.signature,
        };
        // Strings and numbers can always be serialized.
        serde_json::to_string(&members).unwrap_or_default()
    }

    /// The text that is signed: lines joined with line feeds, without one at the end.
    ///
    /// `client_id` is the clientId of the temporary credentials. Only the signature of named
    /// credentials covers it.
    pub fn signature_text(&self, client_id: &str) -> String {
        let mut text = String::from("version:1");
        let mut line = |name: &str, value: &str| {
            text.push('\n');
            text.push_str(name);
            text.push_str(value);
        };
        if let Some(issuer) = &self.issuer {
            line("clientId:", client_id);
            line("issuer:", issuer.as_str());
        }
        line("seed:", &self.seed);
        line("start:", &self.start.to_string());
        line("expiry:", &self.expiry.to_string());
        line("scopes:", "");
        for scope in &self.scopes {
            line(scope.as_str(), "");
        }
        text
    }

    /// Whether the certificate was signed with `issuer_key`, for `client_id`.
    pub(super) fn verifies(&self, issuer_key: &Key, client_id: &str) -> bool {
        self.sign(issuer_key, client_id).verifies(&self.signature)
    }

    fn sign(&self, issuer_key: &Key, client_id: &str) -> Mac {
        issuer_key.mac_of(self.signature_text(client_id).as_bytes())
    }

    /// The accessToken of the temporary credentials.
    pub(super) fn access_token(&self, issuer_key: &Key) -> AccessToken {
        AccessToken::derived(issuer_key, &self.seed)
    }
}

/// Leaves out the signature and the seed, which are secrets.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("scopes", &self.scopes)
            .field("start", &self.start)
            .field("expiry", &self.expiry)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The errors of all invalid members.
pub(super) fn errors(object: &impl JsonValue) -> Vec<JsonError> {
    let errors = [
        version(object).err(),
        scopes(object).err(),
        start(object).err(),
        expiry(object).err(),
        seed(object).err(),
        issuer(object).err(),
        signature(object).err(),
    ];
    errors.into_iter().flatten().collect()
}

fn version(object: &impl JsonValue) -> Result<(), JsonError> {
    read_member(object, "version", "1", |value| match number(value)? {
        1 => Ok(()),
        _ => Err("another number"),
    })
}

fn scopes(object: &impl JsonValue) -> Result<Vec<Scope>, JsonError> {
    read_member(object, "scopes", "an array of scopes", |value| {
        items(&value)?.into_iter().map(scope).collect()
    })
}

/// Reads one item of `scopes`.
pub(super) fn scope(item: impl JsonValue) -> Result<Scope, &'static str> {
    let text = string(item).map_err(|_| "an array with something else")?;
    Scope::new(text.as_str()).map_err(|_| "a scope with characters outside of printable ASCII")
}

pub(super) fn start(object: &impl JsonValue) -> Result<Timestamp, JsonError> {
    read_member(object, "start", MILLIS, number).map(Timestamp::from_millis)
}

pub(super) fn expiry(object: &impl JsonValue) -> Result<Timestamp, JsonError> {
    read_member(object, "expiry", MILLIS, number).map(Timestamp::from_millis)
}

fn seed(object: &impl JsonValue) -> Result<Zeroizing<String>, JsonError> {
    read_member(object, "seed", "a string of 44 characters", |value| {
        let seed = string(value)?;
        // The seed is a line of its own in the text that is signed.
        let valid = seed.len() == SEED_LENGTH && seed.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(seed) } else { Err("another string") }
    })
}

fn issuer(object: &impl JsonValue) -> Result<Option<ClientId>, JsonError> {
    if non_null_member(object, "issuer").is_none() {
        return Ok(None);
    }
    read_member(object, "issuer", "a clientId", |value| {
        ClientId::new(string(value)?.as_str()).map(Some).map_err(|_| "another string")
    })
}

fn signature(object: &impl JsonValue) -> Result<Zeroizing<String>, JsonError> {
    read_member(object, "signature", "a string", string)
}

const MILLIS: &str = "a number of milliseconds since 1970";
