//! Key exchange on P-521, which ring does not support (docs/decisions.md).
//!
//! In TLS 1.2 a server whose certificate has a key on P-521 requires that the client also offers this curve
//! for key exchange (RFC 8422 section 5.1.1), even if the server then selects another one.

use p521::PublicKey;
use p521::ecdh::EphemeralSecret;
use p521::elliptic_curve::Generate as _;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// ECDHE on P-521.
#[derive(Debug)]
pub(super) struct Secp521r1;

struct KeyExchange {
    secret: EphemeralSecret,
    /// Uncompressed (RFC 8446 section 4.2.8.2).
    public_key: Box<[u8]>,
}

/// The first byte of a point that is not compressed (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = EphemeralSecret::try_generate().map_err(|_| Error::FailedToGetRandomBytes)?;
        let public_key = secret.public_key().to_sec1_bytes();
        Ok(Box::new(KeyExchange { secret, public_key }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for KeyExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let peer = PublicKey::from_sec1_bytes(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&peer);
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public_key
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
