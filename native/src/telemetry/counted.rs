//! A number with its noun, in the singular or the plural.

/// The number, and the words for 1 or for any other number.
pub fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let words = [0, 1, 2].map(|count| counted(count, "request keeps", "requests keep"));
        assert_eq!(words, ["0 requests keep", "1 request keeps", "2 requests keep"]);
    }
}
