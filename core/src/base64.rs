//! Reading base64, in a twentieth of the code that the `base64` crate's decoder takes; writing it is
//! the crate's.

/// Which characters stand for 62 and 63, and whether there may be padding.
#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// `+` and `/`, with or without padding, as Node reads what the auth service gets.
    Standard,
    /// `-` and `_`, without padding.
    UrlSafe,
}

/// The bytes that `text` stands for. `None`: it is not base64, or not the one form that encoding
/// those bytes gives.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let digits = match alphabet {
        Alphabet::Standard => text.trim_end_matches('='),
        Alphabet::UrlSafe => text,
    };
    // What is missing of four characters, or some of it.
    let padding = text.len() - digits.len();
    if padding > 0 && !(2..=4 - padding.min(4)).contains(&(digits.len() % 4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match (digit, alphabet) {
            (b'A'..=b'Z', _) => digit - b'A',
            (b'a'..=b'z', _) => digit - b'a' + 26,
            (b'0'..=b'9', _) => digit - b'0' + 52,
            (b'+', Alphabet::Standard) | (b'-', Alphabet::UrlSafe) => 62,
            (b'/', Alphabet::Standard) | (b'_', Alphabet::UrlSafe) => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            // The cast cuts off what has been pushed before.
            bytes.push((bits >> count) as u8);
        }
    }
    // Six left over bits are a digit too many; others are zero.
    (count < 6 && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );

    #[test]
    fn padding_may_be_short_but_not_long() {
        for (text, expected) in [
            ("AA", true),
            ("AA=", true),
            ("AA==", true),
            ("AA===", false),
            ("AAA=", true),
            ("AAA==", false),
            ("AAAA=", false),
            ("A=", false),
            ("=", false),
            ("====", false),
        ] {
            assert_eq!(decode(text, Alphabet::Standard).is_some(), expected, "{text}");
            assert_eq!(LENIENT.decode(text).is_ok(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_the_crate_reads(text in "[A-D+/_=-]{0,9}|[A-Za-z0-9+/]{0,12}={0,3}|.{0,3}") {
            prop_assert_eq!(decode(&text, Alphabet::Standard), LENIENT.decode(&text).ok());
            prop_assert_eq!(decode(&text, Alphabet::UrlSafe), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn reads_what_the_crate_writes(bytes: Vec<u8>) {
            let [standard, url_safe] = [LENIENT.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)];
            prop_assert_eq!(decode(&standard, Alphabet::Standard), Some(bytes.clone()));
            prop_assert_eq!(decode(standard.trim_end_matches('='), Alphabet::Standard), Some(bytes.clone()));
            prop_assert_eq!(decode(&url_safe, Alphabet::UrlSafe), Some(bytes));
        }
    }
}
