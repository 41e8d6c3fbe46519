//! RFC 8259, no more and no less, as far as texts of the caller's are concerned: no trailing commas,
//! no comments, no lone surrogates.

use super::{JsonError, Object, Value, kind};
use std::mem;
use zeroize::Zeroizing;

/// How deep arrays and objects may lie in each other. Taskcluster's lie three deep; what is deeper
/// is an attack on the stack.
const MAX_DEPTH: usize = 128;

/// The object that `text` is.
pub(crate) fn parse_object(text: &[u8]) -> Result<Object, JsonError> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        other => Err(JsonError::NotAnObject(kind(&other))),
    }
}

/// Any JSON text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| position(bytes, error.valid_up_to()))?;
    let mut reader = Reader { text, at: 0 };
    match reader.value(MAX_DEPTH) {
        Some(value) if reader.next_token().is_none() => Ok(value),
        _ => Err(position(bytes, reader.at)),
    }
}

/// How much comes before the quotation mark that ends a string, escapes and all.
fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(0)
}

fn position(bytes: &[u8], at: usize) -> JsonError {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    JsonError::Syntax {
        line: 1 + before.iter().filter(|b| **b == b'\n').count(),
        column: 1 + before.len() - line_start,
    }
}

/// Reads from the byte `at` on. Where something returns `None`, the text is wrong there.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.next_token()? {
            b'{' => self.object(depth.checked_sub(1)?).map(Value::Object),
            b'[' => self.array(depth.checked_sub(1)?).map(Value::Array),
            b'"' => self.string().map(Value::String),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b'n' => self.expect("null").map(|()| Value::Null),
            b't' => self.expect("true").map(|()| Value::Bool),
            _ => self.expect("false").map(|()| Value::Bool),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Object> {
        let mut object = Object::default();
        self.expect("{")?;
        if self.next_token()? != b'}' {
            loop {
                self.next_token()?;
                let name = self.string()?;
                self.next_token()?;
                self.expect(":")?;
                object.0.push((name, self.value(depth)?));
                match self.next_token()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.expect("}")?;
        Some(object)
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.expect("[")?;
        if self.next_token()? != b']' {
            loop {
                items.push(self.value(depth)?);
                match self.next_token()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.expect("]")?;
        Some(items)
    }

    fn string(&mut self) -> Option<String> {
        self.expect("\"")?;
        // Room for all of it, as a copy that grows leaves others behind; and wiped if it has no end.
        let length = self.text.get(self.at..).map_or(0, length_of_string);
        let mut string = Zeroizing::new(String::with_capacity(length));
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.find(|c| c < ' ' || c == '"' || c == '\\').unwrap_or(rest.len());
            string.push_str(rest.get(..plain)?);
            self.at += plain;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(mem::take(&mut *string));
                }
                b'\\' => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                _ => return None,
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<char> {
        let meant = match self.peek()? {
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            plain @ (b'"' | b'\\' | b'/') => char::from(plain),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return None,
        };
        self.at += 1;
        Some(meant)
    }

    /// What follows `\u`: one UTF-16 unit, or two with `\u` between them.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.expect("\\u")?;
        let second = self.four_digits()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + (first - 0xd800) * 0x400 + second)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.peek()?).to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    fn number(&mut self) -> Option<Option<u64>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(self.text.get(start..self.at)?.parse().ok())
    }

    /// One or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        let found = self.text.get(self.at..)?.starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found.then_some(())
    }

    /// The first byte after white space.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn says_where_it_went_wrong() {
        for (text, line, column) in [
            (&b""[..], 1, 1),
            (b"{", 1, 2),
            (b"{\"a\":\n  tru}", 2, 3),
            (b"{} x", 1, 4),
            (b"[1,]", 1, 4),
            (b"{\"a\" 1}", 1, 6),
            (b"\"a\nb\"", 1, 3),
            (b"\"\xff\"", 1, 2),
        ] {
            assert_eq!(parse(text), Err(JsonError::Syntax { line, column }), "{text:?}");
        }
    }

    #[test]
    fn stands_any_depth() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 1_000_000] {
            assert!(parse(nested(depth).as_bytes()).is_err());
        }
    }

    #[test]
    fn the_last_member_of_a_name_counts() {
        let object = parse_object(br#"{"a": 1, "b": null, "a": 3}"#).unwrap();
        assert_eq!(object.get("a"), Some(&Value::Number(Some(3))));
        assert_eq!((object.get("b"), object.given("b")), (Some(&Value::Null), None));
        assert_eq!(object.get("c"), None);
    }

    proptest! {
        /// Texts made of JSON's pieces are often JSON, and as often just not.
        #[test]
        fn reads_what_serde_json_reads(pieces in prop::collection::vec(piece(), 0..12)) {
            agrees(&pieces.concat())?;
        }

        #[test]
        fn reads_every_text_that_is_json(text in json(), cut in any::<prop::sample::Index>()) {
            agrees(&text)?;
            agrees(text.get(..cut.index(text.len())).unwrap_or_default())?;
        }
    }

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        let expected = serde_json::from_str::<serde_json::Value>(text).ok().map(convert);
        prop_assert_eq!(parse(text.as_bytes()).ok().map(sorted), expected, "{}", text);
        Ok(())
    }

    /// As serde_json has them: members by name, one of each.
    fn sorted(value: Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            Value::Object(mut object) => {
                let members = mem::take(&mut object.0).into_iter();
                let members: BTreeMap<_, _> =
                    members.map(|(name, value)| (name, sorted(value))).collect();
                Value::Object(Object(members.into_iter().collect()))
            }
            other => other,
        }
    }

    fn convert(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(_) => Value::Bool,
            serde_json::Value::Number(number) => Value::Number(number.as_u64()),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => {
                Value::Array(items.into_iter().map(convert).collect())
            }
            serde_json::Value::Object(members) => Value::Object(Object(
                members.into_iter().map(|(name, value)| (name, convert(value))).collect(),
            )),
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let fixed: Vec<String> = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"a\"",
            "\"b\":",
            "null",
            "true",
            "false",
            "-",
            "0",
            "1",
            "9",
            ".",
            "e",
            "E+",
            "\\u",
            "d800",
            "dc00",
            "00e9",
            "\\n",
            " ",
            "\n",
            "\u{1}",
            "é",
            "18446744073709551615",
            "18446744073709551616",
            "[]",
            "{}",
        ]
        .map(str::to_owned)
        .into();
        prop::sample::select(fixed)
    }

    fn json() -> impl Strategy<Value = String> {
        let string = "([ -!#-\\[\\]-~é]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-f]{4}){0,6}"
            .prop_map(|content| format!("\"{content}\""));
        let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
        let leaf = prop_oneof![string.clone(), number, "null|true|false"];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let members = prop::collection::vec((string.clone(), inner.clone()), 0..4);
            let members = members.prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("{name} : {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
            });
            let items = prop::collection::vec(inner, 0..4)
                .prop_map(|items| format!("[ {} ]", items.join(",\t")));
            prop_oneof![members, items]
        })
    }
}
