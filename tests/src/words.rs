//! Looks for Rust's debug output in what people read: log lines, errors, the findings of `--check`.

/// Fails if a line of `text` has Rust's debug output: `Other(..)`, `Os { .. }`, `kind: `, or the name of a
/// variant alone, as in `error: NotFound`.
pub(crate) fn assert_in_words(text: &str) {
    for line in text.lines() {
        if let Some(found) = debug_output(line) {
            panic!("debug output of Rust ({found:?}) is in this line: {line}");
        }
    }
}

fn debug_output(line: &str) -> Option<&str> {
    let variant = |(at, _)| {
        let before = line.get(..at)?;
        let name_start = before.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        let name = before.get(name_start..)?;
        // In a path it is a client's.
        let is_in_path = before.get(..name_start)?.ends_with(['/', '%', '=']);
        let is_variant = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.contains(|c: char| c.is_ascii_lowercase());
        (is_variant && !is_in_path).then_some(name)
    };
    let opened = line.match_indices('(').chain(line.match_indices(" { "));
    let with_fields = opened.filter_map(variant).next();
    let alone =
        || line.split(' ').skip(1).map(without_punctuation).find(|word| is_camel_case(word));
    with_fields.or_else(alone).or_else(|| line.contains("kind: ").then_some("kind: "))
}

fn without_punctuation(word: &str) -> &str {
    word.trim_end_matches(['"', '\n', ':', ',', ';', '.', ')'])
}

fn is_camel_case(word: &str) -> bool {
    let mut humps = word.as_bytes().windows(2);
    // Shorter ones are units, such as KiB.
    word.len() > 4
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphabetic())
        && humps.any(|hump| hump[0].is_ascii_lowercase() && hump[1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::debug_output;

    #[test]
    fn debug_output_is_found() {
        for (line, found) in [
            ("error: Other(OtherError(CaUsedAsEndEntity))", Some("Other")),
            ("no sock_diag (Ok(false)): tables", Some("Ok")),
            ("cannot: Os { code: 24, message: \"x\" }", Some("Os")),
            ("Custom { kind: Other }", Some("Custom")),
            ("kind: other", Some("kind: ")),
            ("keys may not be consistent: KeyMismatch: give", Some("KeyMismatch")),
            ("level=INFO message=request code=NotFound GET", None),
            ("larger than 256 KiB", None),
            ("no connection within 1 s (--connect-timeout): x", None),
            ("101 (Switching Protocols), 400 ({}), GET /Some(1)", None),
            ("{\"code\":\"Busy\", \"a\": { \"b\": 1 }}", None),
            ("reset by DNS(1)", None),
        ] {
            assert_eq!(debug_output(line), found, "{line}");
        }
    }
}
