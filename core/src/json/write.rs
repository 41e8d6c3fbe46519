/// Writes `items` as an array; `push` writes one of them.
pub(crate) fn push_array<T>(
    json: &mut String,
    items: impl IntoIterator<Item = T>,
    push: impl Fn(&mut String, T),
) {
    json.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push(json, item);
    }
    json.push(']');
}

/// Writes `text` as a string, with no more escapes than RFC 8259 section 7 asks for.
pub(crate) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..='\u{1f}' => {
                json.push_str("\\u00");
                for digit in [u32::from(c) / 16, u32::from(c) % 16] {
                    json.extend(char::from_digit(digit, 16));
                }
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writes_what_serde_json_writes(texts in prop::collection::vec("[\0-~é\u{2028}]{0,8}", 0..4)) {
            let mut json = String::new();
            push_array(&mut json, &texts, |json, text| push_string(json, text));
            prop_assert_eq!(json, serde_json::to_string(&texts)?);
        }
    }
}
