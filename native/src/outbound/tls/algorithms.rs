//! Signature algorithms of certificates that ring does not support: ECDSA with P-521, and ECDSA with
//! SHA-512 on P-256 and P-384 (docs/decisions.md).
//!
//! Verification involves no secrets, so the arithmetic of these crates need not take constant time.

use super::key_exchange::Secp521r1;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::sync::LazyLock;

/// ECDSA on the curve of the crate `$curve`, with the hash function `$hash`.
macro_rules! ecdsa {
    ($curve:ident, $hash:ty, $public_key:expr, $signature:expr) => {
        Ecdsa {
            public_key: $public_key,
            signature: $signature,
            verify: |key, message, signature| {
                let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(key)?;
                let signature = $curve::ecdsa::Signature::from_der(signature)?;
                key.verify_prehash(&<$hash>::digest(message), &signature)
            },
        }
    };
}

/// ring's provider with these algorithms added, and with key exchange on P-521 as the last choice.
pub(super) fn provider() -> CryptoProvider {
    let ring = ring::default_provider();
    let last: &dyn SupportedKxGroup = &Secp521r1;
    CryptoProvider {
        kx_groups: ring.kx_groups.into_iter().chain([last]).collect(),
        signature_verification_algorithms: WebPkiSupportedAlgorithms {
            all: &ALGORITHMS,
            mapping: &SCHEMES,
        },
        ..ring
    }
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

static ALGORITHMS: LazyLock<Vec<Algorithm>> = LazyLock::new(|| {
    let ring = ring::default_provider().signature_verification_algorithms;
    let further: [Algorithm; 5] =
        [&P256_SHA512, &P384_SHA512, &P521_SHA256, &P521_SHA384, &P521_SHA512];
    ring.all.iter().copied().chain(further).collect()
});

static SCHEMES: LazyLock<Vec<(SignatureScheme, &'static [Algorithm])>> = LazyLock::new(|| {
    let ring = ring::default_provider().signature_verification_algorithms;
    let with_p521 = |&(scheme, algorithms): &(SignatureScheme, &'static [Algorithm])| {
        let further: Algorithm = match scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => &P521_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384 => &P521_SHA384,
            _ => return (scheme, algorithms),
        };
        (scheme, &*[algorithms, &[further]].concat().leak())
    };
    let with_sha512 = (SignatureScheme::ECDSA_NISTP521_SHA512, WITH_SHA512.as_slice());
    ring.mapping.iter().map(with_p521).chain([with_sha512]).collect()
});

/// In TLS 1.3 only the first algorithm is used, because the scheme includes the curve; in TLS 1.2 the key
/// may be on any curve.
static WITH_SHA512: [Algorithm; 3] = [&P521_SHA512, &P384_SHA512, &P256_SHA512];

static P256_SHA512: Ecdsa = ecdsa!(p256, Sha512, alg_id::ECDSA_P256, alg_id::ECDSA_SHA512);
static P384_SHA512: Ecdsa = ecdsa!(p384, Sha512, alg_id::ECDSA_P384, alg_id::ECDSA_SHA512);
static P521_SHA256: Ecdsa = ecdsa!(p521, Sha256, alg_id::ECDSA_P521, alg_id::ECDSA_SHA256);
static P521_SHA384: Ecdsa = ecdsa!(p521, Sha384, alg_id::ECDSA_P521, alg_id::ECDSA_SHA384);
static P521_SHA512: Ecdsa = ecdsa!(p521, Sha512, alg_id::ECDSA_P521, alg_id::ECDSA_SHA512);

/// ECDSA on one curve, with one hash function.
#[derive(Debug)]
struct Ecdsa {
    public_key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verify: Verify,
}

/// Verifies a signature; takes a public key (SEC 1), a message and a signature (DER).
type Verify = fn(&[u8], &[u8], &[u8]) -> Result<(), p256::ecdsa::Error>;

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        (self.verify)(public_key, message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.public_key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
