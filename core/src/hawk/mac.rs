//! The key, and the MACs that it makes.

use super::Artifacts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// An accessToken made ready for HMAC-SHA256: the two hash blocks that depend on the key alone are
/// computed once, not for each request. Wiped from memory when dropped.
///
/// ```
/// use taskcluster_proxy_core::hawk::Key;
///
/// let key = Key::new("no-secret");
/// assert_eq!(format!("{key:?}"), "Key([REDACTED])");
/// assert_eq!(key.mac_of(b"text").to_string(), "wOJUN9itOeyoPT+aT/zFUxQOJLUIxJKQALNnmjm2SpE=");
/// ```
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Prepares the UTF-8 bytes of an accessToken.
    pub fn new(access_token: &str) -> Self {
        Self::from_bytes(access_token.as_bytes())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 2)")]
    fn from_bytes(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// The MAC of a request or bewit.
    pub fn mac(&self, artifacts: &Artifacts<'_>) -> Mac {
        self.mac_of(artifacts.normalized_string().as_bytes())
    }

    /// The MAC of any text: certificates and temporary accessTokens are made with it too.
    pub fn mac_of(&self, text: &[u8]) -> Mac {
        let mut hmac = self.0.clone();
        hmac.update(text);
        Mac(hmac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

/// The length of a MAC in standard base64.
pub(super) const MAC_LENGTH: usize = 44;

/// An HMAC-SHA256. Displays as standard base64, as Hawk writes it.
#[derive(Clone)]
pub struct Mac([u8; 32]);

impl Mac {
    /// Whether `presented`, in base64 as it came, is this MAC. Takes the same time for every wrong
    /// value of the right length.
    pub(crate) fn verifies(&self, presented: &str) -> bool {
        self.to_base64().ct_eq(presented.as_bytes()).into()
    }

    /// The raw bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_base64()).unwrap_or_default())
    }
}

/// A MAC goes over the wire, but the right MAC for a request that failed is a key to it.
impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac([REDACTED])")
    }
}

impl Mac {
    /// Appends the base64 form.
    pub(crate) fn push_to(&self, text: &mut String) {
        text.push_str(str::from_utf8(&self.to_base64()).unwrap_or_default());
    }

    /// The base64 form, written into a buffer of just its length: the encoder's own way into a text
    /// clears 1 KiB first.
    fn to_base64(&self) -> [u8; MAC_LENGTH] {
        let mut base64 = [0; MAC_LENGTH];
        // This cannot fail: the buffer has the length that 32 bytes take.
        let _ = STANDARD.encode_slice(self.0, &mut base64);
        base64
    }
}
