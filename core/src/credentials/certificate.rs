use super::{AccessToken, ClientId, Scope, scope};
use crate::Timestamp;
use crate::hawk::{Key, Mac};
use crate::json::{self, JsonError, Object, Value, kind, parse_object, push_string, take};
use std::fmt;
use zeroize::Zeroize;

/// What makes temporary credentials valid: the issuer's signature over their scopes and lifetime.
///
/// Travels as a JSON string in flags, the environment and `PUT /credentials`, and as an object in
/// `ext`.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) scopes: Vec<Scope>,
    pub(super) start: Timestamp,
    pub(super) expiry: Timestamp,
    pub(super) seed: String,
    pub(super) issuer: Option<ClientId>,
    signature: String,
}

/// The length of a seed: two slugids.
const SEED_LENGTH: usize = 44;

impl Certificate {
    /// Reads a certificate from its JSON text.
    ///
    /// # Errors
    ///
    /// The text is not a JSON object, or one of `version` (1), `scopes`, `start`, `expiry`, `seed`
    /// (44 characters), `signature` and, where present, `issuer` is not what it has to be. No value
    /// is repeated in the error.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::from_object(parse_object(text.as_bytes())?)
    }

    pub(super) fn from_object(mut object: Object) -> Result<Self, JsonError> {
        let object = &mut object;
        take(object, "version", "1", |value| match json::number(value)? {
            1 => Ok(()),
            _ => Err("another number"),
        })?;
        let millis = "a number of milliseconds since 1970";
        Ok(Self {
            scopes: take(object, "scopes", "an array of scopes", scopes)?,
            start: take(object, "start", millis, json::number).map(Timestamp::from_millis)?,
            expiry: take(object, "expiry", millis, json::number).map(Timestamp::from_millis)?,
            seed: take(object, "seed", "a string of 44 characters", |value| {
                let seed = json::string(value)?;
                // The seed is a line of its own in the text that is signed.
                let valid = seed.len() == SEED_LENGTH && seed.bytes().all(|b| b.is_ascii_graphic());
                if valid { Ok(seed) } else { Err("another string") }
            })?,
            issuer: match object.get("issuer") {
                None | Some(Value::Null) => None,
                Some(_) => Some(take(object, "issuer", "a clientId", |value| {
                    ClientId::new(json::string(value)?).map_err(|_| "another string")
                })?),
            },
            signature: take(object, "signature", "a string", json::string)?,
        })
    }

    /// Signs: the certificate with which `issuer_key`'s owner grants `scopes`.
    pub(super) fn issue(
        issuer_key: &Key,
        client_id: &ClientId,
        issuer: Option<ClientId>,
        scopes: Vec<Scope>,
        lifetime: [Timestamp; 2],
        seed: String,
    ) -> Self {
        let [start, expiry] = lifetime;
        let signature = String::new();
        let mut unsigned = Self { scopes, start, expiry, seed, issuer, signature };
        unsigned.signature = unsigned.sign(issuer_key, client_id.as_str()).to_string();
        unsigned
    }

    /// What temporary credentials may do.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// When they begin to be valid.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// When they cease to be valid.
    pub fn expiry(&self) -> Timestamp {
        self.expiry
    }

    /// Who issued them, where their clientId is another one.
    pub fn issuer(&self) -> Option<&ClientId> {
        self.issuer.as_ref()
    }

    /// The certificate as JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.push_json(&mut json);
        json
    }

    pub(super) fn push_json(&self, json: &mut String) {
        let Self { scopes, start, expiry, seed, issuer, signature } = self;
        json.push_str("{\"version\":1,\"scopes\":");
        scope::push_json(json, scopes);
        json.push_str(&format!(",\"start\":{start},\"expiry\":{expiry},\"seed\":"));
        push_string(json, seed);
        if let Some(issuer) = issuer {
            json.push_str(",\"issuer\":");
            push_string(json, issuer.as_str());
        }
        json.push_str(",\"signature\":");
        push_string(json, signature);
        json.push('}');
    }

    /// The text that is signed: lines joined with a line feed, none at the end.
    ///
    /// `client_id` is that of the temporary credentials; it is covered for named ones only.
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

    /// Whether the owner of `issuer_key` signed this for `client_id`.
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

/// With the signature and the seed somebody could go on to forge; they are not shown.
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

impl Drop for Certificate {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.signature.zeroize();
    }
}

fn scopes(value: Value) -> Result<Vec<Scope>, &'static str> {
    let Value::Array(items) = value else {
        return Err(kind(&value));
    };
    items
        .into_iter()
        .map(|item| {
            Scope::new(json::string(item).map_err(|_| "an array with something else")?)
                .map_err(|_| "a scope with characters outside of printable ASCII")
        })
        .collect()
}
