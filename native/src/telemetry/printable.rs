//! Escapes control characters in text from other sources, before it is shown.

/// Escapes the control characters in `text`, which could break a line or confuse a terminal.
pub fn printable(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}
