//! Escapes untrusted text for error messages.

use std::fmt::{self, Write as _};

/// Displays a text for use between quotes in an error message, escaped as its `Debug` form is.
///
/// `Debug` itself is not used because its tables of printable characters would take up a tenth of
/// the WebAssembly module.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}"),
                '\n' => f.write_str("\\n"),
                '\r' => f.write_str("\\r"),
                '\t' => f.write_str("\\t"),
                '\0' => f.write_str("\\0"),
                _ if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c)),
                _ => f.write_char(c),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_as_debug_writes_it(text in "[\0-~\u{80}-\u{9f}éß漢]{0,8}") {
            prop_assert_eq!(format!("\"{}\"", Escaped(&text)), format!("{text:?}"));
        }
    }
}
