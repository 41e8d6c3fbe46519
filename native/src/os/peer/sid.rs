//! Formats Windows' security identifiers (SIDs).

/// The text form of a SID, such as `S-1-5-18`; `None` if it is malformed. A SID consists of a revision, the
/// count of the numbers at its end, an authority of 48 bits, and the numbers of 32 bits.
pub(super) fn text(sid: &[u8]) -> Option<String> {
    let (&[revision, count, a, b, c, d, e, f], numbers) = sid.split_first_chunk()?;
    let authority = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let mut text = format!("S-{revision}-{authority}");
    for number in numbers.get(..4 * usize::from(count))?.chunks_exact(4) {
        text += &format!("-{}", u32::from_le_bytes(number.try_into().ok()?));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        assert_eq!(text(&system).as_deref(), Some("S-1-5-18"));
        let user = [
            [1, 5, 0, 0, 0, 0, 0, 5].as_slice(),
            &21_u32.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &u32::MAX.to_le_bytes(),
            &3_u32.to_le_bytes(),
            &1001_u32.to_le_bytes(),
            // Unused bytes of the buffer.
            &[7; 5],
        ]
        .concat();
        assert_eq!(text(&user).as_deref(), Some("S-1-5-21-1-4294967295-3-1001"));
        for length in 0..system.len() {
            assert_eq!(text(&system[..length]), None, "{length} bytes");
        }
    }
}
