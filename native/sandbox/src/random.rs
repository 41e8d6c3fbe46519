//! Random identifiers that cannot be guessed.

use super::failure::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A slugid: a version 4 UUID as 22 URL-safe characters.
pub(super) fn slugid() -> Result<String, Failure> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid).map_err(Failure::internal)?;
    let uuid = u128::from_be_bytes(uuid);
    // The version in the 13th hexadecimal digit, the variant in the 17th (RFC 9562 section 5.4).
    let uuid = uuid & !(0xf << 76) | 4 << 76;
    let uuid = uuid & !(0x3 << 62) | 2 << 62;
    Ok(URL_SAFE_NO_PAD.encode(uuid.to_be_bytes()))
}

/// The seed of temporary credentials: two slugids.
pub(super) fn seed() -> Result<String, Failure> {
    Ok(slugid()? + &slugid()?)
}

/// Whether `text` is a slugid.
pub(super) fn is_slugid(text: &str) -> bool {
    let Ok(Ok(uuid)) = URL_SAFE_NO_PAD.decode(text).map(<[u8; 16]>::try_from) else {
        return false;
    };
    let uuid = u128::from_be_bytes(uuid);
    uuid >> 76 & 0xf == 4 && uuid >> 62 & 0x3 == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_slugids_are_valid() {
        for _ in 0..100 {
            let slugid = slugid().unwrap();
            assert!(is_slugid(&slugid), "{slugid}");
        }
        assert!(is_slugid(super::super::records::SAMPLE_TASK));
        for text in
            ["", "KTBKfEgxR5GdfIIREQIvF", "KTBKfEgxR5GdfIIREQIvFR", "KTBKfEgxA5GdfIIREQIvFQ"]
        {
            assert!(!is_slugid(text), "{text}");
        }
    }
}
