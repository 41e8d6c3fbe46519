//! Decodes the content codings (RFC 9110 section 8.4.1) that services use.

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Read;

/// Decodes a body with the coding that `headers` name. `None` if it has another coding or several, is
/// invalid, or has more than `limit` bytes when decoded.
pub(super) fn decode(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Option<Vec<u8>> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Some(body),
        (Some(coding), None) => coding.to_str().ok()?.trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => return None,
    };
    let encoded = body.as_slice();
    match coding.as_str() {
        "identity" => Some(body),
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(encoded), limit),
        "br" => read(brotli_decompressor::Decompressor::new(encoded, BUFFER), limit),
        // The zlib format is standard; some servers omit its header.
        "deflate" => read(ZlibDecoder::new(encoded), limit)
            .or_else(|| read(DeflateDecoder::new(encoded), limit)),
        _ => None,
    }
}

/// The size of the decoder's buffer, in bytes.
const BUFFER: usize = 4096;

fn read(decoder: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than allowed, to detect content that is too large.
    decoder.take(limit as u64 + 1).read_to_end(&mut content).ok()?;
    (content.len() <= limit).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    const TEXT: &[u8] = b"a body, a body, a body";

    /// TEXT, as Node compresses it.
    const BROTLI: &[u8] = b"\x1b\x15\x00\xf8\x8d\x94\xaa\xdb\xa3\x04\x09\x13\x6b\x16\xb2\xb7\x3c\xa1\x4f\x38\x80\x9c\x03";

    fn decoded(coding: &str, body: &[u8], limit: usize) -> Option<Vec<u8>> {
        let headers = [(CONTENT_ENCODING, coding.parse().unwrap())];
        decode(&headers.into_iter().collect(), body.to_vec(), limit)
    }

    #[test]
    fn codings_of_services_are_decoded() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            encoder.write_all(TEXT).unwrap();
        }
        let [gzip, zlib, raw] =
            [gzip.finish().unwrap(), zlib.finish().unwrap(), raw.finish().unwrap()];
        for (coding, body) in [
            ("identity", TEXT),
            ("gzip", &gzip),
            ("GZIP ", &gzip),
            ("x-gzip", &gzip),
            ("deflate", &zlib),
            ("deflate", &raw),
            ("br", BROTLI),
        ] {
            assert_eq!(decoded(coding, body, TEXT.len()).as_deref(), Some(TEXT), "{coding}");
            if coding != "identity" {
                assert_eq!(decoded(coding, body, TEXT.len() - 1), None, "{coding}");
                assert_eq!(decoded(coding, &body[..body.len() / 2], 100), None, "{coding}");
            }
        }
        assert_eq!(decode(&HeaderMap::new(), TEXT.to_vec(), 1).as_deref(), Some(TEXT));
    }

    #[test]
    fn other_codings_are_not_decoded() {
        for coding in ["zstd", "gzip, br", "", "gzip"] {
            assert_eq!(decoded(coding, TEXT, 100), None, "{coding}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_ENCODING, "identity".parse().unwrap());
        headers.append(CONTENT_ENCODING, "identity".parse().unwrap());
        assert_eq!(decode(&headers, TEXT.to_vec(), 100), None);
    }
}
