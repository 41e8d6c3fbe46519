//! Queries of Windows' own functions, with all unsafe code that they require. Tested under wine, not yet on
//! Windows.

#![expect(unsafe_code, reason = "calls of C functions; crates with safe wrappers are much larger")]

use super::{UserId, sid};
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawHandle};
use std::ptr;
use windows_sys::Win32::Foundation::{
    ERROR_INSUFFICIENT_BUFFER, ERROR_NONE_MAPPED, HANDLE, NO_ERROR,
};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, TCP_TABLE_OWNER_PID_ALL,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};
use windows_sys::Win32::Security::{
    CopySid, GetTokenInformation, LookupAccountNameW, SidTypeUser, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

/// The tables of all TCP sockets of IPv4 and of IPv6, with the processes that own them.
///
/// # Errors
///
/// The system does not provide them.
pub(super) fn tcp_tables() -> io::Result<[Vec<u8>; 2]> {
    Ok([tcp_table(AF_INET)?, tcp_table(AF_INET6)?])
}

/// An open process. Its id is not reused while this is open.
pub(super) struct Process(OwnedHandle);

impl Process {
    /// Opens the process with this id.
    ///
    /// # Errors
    ///
    /// There is no such process, or access is denied.
    pub(super) fn open(id: u32) -> io::Result<Self> {
        // SAFETY: no pointers are passed; the handle is checked, and has no other owner.
        unsafe {
            let handle = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id);
            if handle.is_null() {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedHandle::from_raw_handle(handle)))
        }
    }

    /// The user who runs the process.
    ///
    /// # Errors
    ///
    /// Access is denied.
    pub(super) fn user(&self) -> io::Result<UserId> {
        user_of(self.0.as_raw_handle())
    }
}

/// The user who runs this process.
///
/// # Errors
///
/// The system does not provide it.
pub(super) fn current_user() -> io::Result<UserId> {
    // SAFETY: the call cannot fail, and the pseudo handle that it returns need not be closed.
    user_of(unsafe { GetCurrentProcess() })
}

/// Looks up the user with this name; `None` if there is none.
///
/// # Errors
///
/// The lookup failed.
pub(super) fn user_named(name: &str) -> io::Result<Option<UserId>> {
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let mut sid = [0_u8; LONGEST_SID];
    let mut domain = [0_u16; 256];
    let (mut sid_length, mut domain_length) = (LONGEST_SID as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: the name ends in NUL; the lengths are those of the buffers, in bytes and in
    // characters; all live until after the call.
    let found = unsafe {
        LookupAccountNameW(
            ptr::null(),
            name.as_ptr(),
            sid.as_mut_ptr().cast(),
            &raw mut sid_length,
            domain.as_mut_ptr(),
            &raw mut domain_length,
            &raw mut kind,
        )
    };
    if found == 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(code) if code == ERROR_NONE_MAPPED as i32 => Ok(None),
            _ => Err(error),
        };
    }
    // Other accounts, such as groups, cannot own processes.
    Ok((kind == SidTypeUser).then(|| sid::text(&sid)).flatten().map(UserId::Sid))
}

fn tcp_table(family: u16) -> io::Result<Vec<u8>> {
    let mut table = vec![0_u64; 4096];
    loop {
        let mut length = (table.len() * 8) as u32;
        // SAFETY: `length` is that of the buffer in bytes, and the buffer is aligned for any table;
        // at most so much of it is written.
        let status = unsafe {
            GetExtendedTcpTable(
                table.as_mut_ptr().cast(),
                &raw mut length,
                0,
                family.into(),
                TCP_TABLE_OWNER_PID_ALL,
                0,
            )
        };
        match status {
            NO_ERROR => return Ok(table.iter().flat_map(|word| word.to_ne_bytes()).collect()),
            // Twice the size, because the table may have grown by the next call.
            ERROR_INSUFFICIENT_BUFFER => table.resize(length as usize / 4, 0),
            code => return Err(io::Error::from_raw_os_error(code as i32)),
        }
    }
}

fn user_of(process: RawHandle) -> io::Result<UserId> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the handle is that of a process, and the caller keeps it open; the token is checked, and has
    // no other owner.
    let token = unsafe {
        if OpenProcessToken(process, TOKEN_QUERY, &raw mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedHandle::from_raw_handle(token)
    };
    // Room for a TOKEN_USER and the SID to which it points, aligned for both.
    let mut user = [0_u64; 32];
    let mut length = 0;
    let mut copy = [0_u8; LONGEST_SID];
    // SAFETY: the size is that of the buffer, in bytes. After success there is a TOKEN_USER at its start,
    // whose pointer leads to a SID in the same buffer, which is copied to a buffer of the given size.
    let copied = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            user.as_mut_ptr().cast(),
            size_of_val(&user) as u32,
            &raw mut length,
        ) != 0
            && CopySid(
                LONGEST_SID as u32,
                copy.as_mut_ptr().cast(),
                (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid,
            ) != 0
    };
    if !copied {
        return Err(io::Error::last_os_error());
    }
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed SID of a process");
    sid::text(&copy).map(UserId::Sid).ok_or_else(malformed)
}

/// SECURITY_MAX_SID_SIZE, in bytes.
const LONGEST_SID: usize = 68;
