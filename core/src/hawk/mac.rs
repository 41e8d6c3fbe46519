//! Hawk keys, and the MACs that are computed with them.

use super::Artifacts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// An accessToken prepared for HMAC-SHA256: the two hash blocks that depend only on the key are computed
/// once, not for each request. It is zeroized when dropped.
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
    /// Prepares an accessToken; the key is its UTF-8 bytes.
    pub fn new(access_token: &str) -> Self {
        Self::from_bytes(access_token.as_bytes())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 2)")]
    fn from_bytes(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// Computes the MAC of a request or bewit.
    pub fn mac(&self, artifacts: &Artifacts<'_>) -> Mac {
        self.mac_of(artifacts.normalized_string().as_bytes())
    }

    /// Computes the MAC of any text: certificates are signed and temporary accessTokens derived with it.
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

/// An HMAC-SHA256. It is displayed in standard base64, as in Hawk.
#[derive(Clone)]
pub struct Mac([u8; 32]);

impl Mac {
    /// Whether `received`, in base64, is this MAC. The comparison takes constant time for values of the
    /// right length.
    pub(crate) fn verifies(&self, received: &str) -> bool {
        self.to_base64().ct_eq(received.as_bytes()).into()
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

/// Redacted: with the correct MAC of a request that failed verification anyone could send that request.
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

    /// The base64 form, in a buffer of exactly its length: the encoder's `Display` clears 1 KiB first.
    fn to_base64(&self) -> [u8; MAC_LENGTH] {
        let mut base64 = [0; MAC_LENGTH];
        // This cannot fail: 32 bytes take 44 characters.
        let _ = STANDARD.encode_slice(self.0, &mut base64);
        base64
    }
}
