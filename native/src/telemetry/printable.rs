//! Text of others, made safe to show.

/// `text` without what would break the line, or the terminal, that an error is shown on.
pub fn printable(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}
