//! Queries to the kernel by name (sysctl(3)).

use std::ffi::CStr;
use std::io;

/// Writes the kernel's response to `query` into `response`, and returns its length in bytes.
///
/// # Errors
///
/// It knows no such name, needs a larger buffer, or does not permit this process to ask.
#[expect(unsafe_code, reason = "the C library's function; there is no safe crate that passes both")]
pub(super) fn ask(name: &CStr, query: &[u8], response: &mut [u8]) -> io::Result<usize> {
    let mut length = response.len();
    // SAFETY: the name ends in NUL; the kernel writes at most `length` bytes to `response`, which
    // has as many, and reads `query.len()` bytes of `query`, which it does not change: that macOS
    // declares it mutable is an accident. Neither is used after the call.
    let status = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            response.as_mut_ptr().cast(),
            &raw mut length,
            query.as_ptr().cast_mut().cast(),
            query.len(),
        )
    };
    if status == 0 { Ok(length) } else { Err(io::Error::last_os_error()) }
}
