//! Questions to the kernel by name (sysctl(3)).

use std::ffi::CStr;
use std::io;

/// What the kernel answers to `question`, into `answer`; how many bytes that is.
///
/// # Errors
///
/// It knows no such name, wants more room, or does not answer this process.
#[expect(unsafe_code, reason = "the C library's function; there is no safe crate that passes both")]
pub(super) fn ask(name: &CStr, question: &[u8], answer: &mut [u8]) -> io::Result<usize> {
    let mut length = answer.len();
    // SAFETY: the name ends in NUL; the kernel writes at most `length` bytes to `answer`, which has
    // as many, and reads `question.len()` bytes of `question`, which it does not change: that macOS
    // declares it mutable is an accident. Neither is used after the call.
    let status = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            answer.as_mut_ptr().cast(),
            &raw mut length,
            question.as_ptr().cast_mut().cast(),
            question.len(),
        )
    };
    if status == 0 { Ok(length) } else { Err(io::Error::last_os_error()) }
}
