use taskcluster_proxy_core::proxy::HeaderRole;

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes; not 0.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection ends. Only answers have that.
    UntilClose,
}

/// Why the end of a body cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// `Content-Length` is no number, or more than one.
    #[error("a Content-Length that is no length, or more than one")]
    Length,
    /// Something other than chunks was made of the body.
    #[error("a transfer coding other than chunked")]
    Coding,
    /// In HTTP/1.0, which knows none.
    #[error("a transfer coding in HTTP/1.0")]
    CodingInHttp10,
}

/// What a head's fields say of the framing.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    codings: u32,
    error: Option<FramingError>,
}

impl FramingFields {
    /// Takes note of a field.
    pub(super) fn note(&mut self, role: HeaderRole, value: &[u8]) {
        match role {
            HeaderRole::ContentLength => match (length(value), self.length) {
                // The same twice is one.
                (Some(length), None) => self.length = Some(length),
                (Some(length), Some(before)) if length == before => {}
                _ => self.error = Some(FramingError::Length),
            },
            HeaderRole::TransferEncoding => {
                self.codings += 1;
                if self.codings > 1 || !value.eq_ignore_ascii_case(b"chunked") {
                    self.error = Some(FramingError::Coding);
                }
            }
            _ => {}
        }
    }

    /// The framing, or `None` where nothing is said.
    ///
    /// # Errors
    ///
    /// What is said cannot be made sense of.
    pub(super) fn framing(&self) -> Result<Option<Framing>, FramingError> {
        match (&self.error, self.codings, self.length) {
            (Some(error), ..) => Err(error.clone()),
            // The length then counts for nothing (RFC 9112 section 6.3).
            (None, 1.., _) => Ok(Some(Framing::Chunked)),
            (None, 0, Some(0)) => Ok(Some(Framing::Empty)),
            (None, 0, Some(length)) => Ok(Some(Framing::Length(length))),
            (None, 0, None) => Ok(None),
        }
    }

    /// The length, if the message is framed by it.
    pub(super) fn length(&self) -> Option<u64> {
        self.length.filter(|_| self.codings == 0)
    }

    /// Whether the message has both framings, as a smuggler's has.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.codings > 0 && self.length.is_some()
    }
}

/// Digits alone, and few enough that nothing overflows on the way.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number <= MAX_LENGTH).then_some(number)
}

/// What no file is as long as: room is left for adding up.
const MAX_LENGTH: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;
    use HeaderRole::{ContentLength, TransferEncoding};

    fn framing(fields: &[(HeaderRole, &str)]) -> Result<Option<Framing>, FramingError> {
        let mut noted = FramingFields::default();
        fields.iter().for_each(|(role, value)| noted.note(*role, value.as_bytes()));
        noted.framing()
    }

    #[test]
    fn lengths() {
        assert_eq!(framing(&[]), Ok(None));
        assert_eq!(framing(&[(ContentLength, "0")]), Ok(Some(Framing::Empty)));
        assert_eq!(framing(&[(ContentLength, "012")]), Ok(Some(Framing::Length(12))));
        assert_eq!(
            framing(&[(ContentLength, "4"), (ContentLength, "4")]),
            Ok(Some(Framing::Length(4)))
        );
        for bad in ["", "-1", "+1", "1 1", "1, 1", "0x1", "18446744073709551615"] {
            assert_eq!(framing(&[(ContentLength, bad)]), Err(FramingError::Length), "{bad}");
        }
        assert!(framing(&[(ContentLength, "4"), (ContentLength, "5")]).is_err());
    }

    #[test]
    fn codings() {
        for good in ["chunked", "Chunked"] {
            assert_eq!(framing(&[(TransferEncoding, good)]), Ok(Some(Framing::Chunked)));
        }
        for bad in ["", "gzip", "gzip, chunked", "identity", "xchunked", "\x0bchunked"] {
            assert_eq!(framing(&[(TransferEncoding, bad)]), Err(FramingError::Coding), "{bad}");
        }
        let twice = [(TransferEncoding, "chunked"), (TransferEncoding, "chunked")];
        assert_eq!(framing(&twice), Err(FramingError::Coding));
        let both = [(ContentLength, "4"), (TransferEncoding, "chunked")];
        assert_eq!(framing(&both), Ok(Some(Framing::Chunked)));
    }
}
