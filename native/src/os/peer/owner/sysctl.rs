//! Queries the kernel by name (sysctl(3)).

use std::ffi::CStr;
use std::io;

/// Writes the kernel's response to the query `input` into `response`, and returns its length in bytes.
///
/// # Errors
///
/// The kernel does not know the name, needs a larger buffer, or does not permit the query.
#[expect(
    unsafe_code,
    reason = "a C function; there is no crate with a safe wrapper that passes both buffers"
)]
pub(super) fn query(name: &CStr, input: &[u8], response: &mut [u8]) -> io::Result<usize> {
    let mut length = response.len();
    // SAFETY: the name ends in NUL; the kernel writes at most `length` bytes to `response`, which has as
    // many, and reads `input.len()` bytes of `input`. It does not change them, although macOS declares the
    // pointer mutable. It does not use either buffer after the call.
    let status = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            response.as_mut_ptr().cast(),
            &raw mut length,
            input.as_ptr().cast_mut().cast(),
            input.len(),
        )
    };
    if status == 0 { Ok(length) } else { Err(io::Error::last_os_error()) }
}
