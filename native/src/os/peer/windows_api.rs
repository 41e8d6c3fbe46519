//! What has to be asked of Windows by its own functions, and all unsafe code that takes. Run under
//! wine, and not on Windows yet.

#![expect(unsafe_code, reason = "functions of C; safe crates for them bring far more along")]

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

/// The tables of all TCP sockets of IPv4 and of IPv6, with the processes that have them.
///
/// # Errors
///
/// The system does not tell.
pub(super) fn tcp_tables() -> io::Result<[Vec<u8>; 2]> {
    Ok([tcp_table(AF_INET)?, tcp_table(AF_INET6)?])
}

/// A process that stays the one of its number while this is kept.
pub(super) struct Process(OwnedHandle);

impl Process {
    /// Opens the process of this number.
    ///
    /// # Errors
    ///
    /// There is none, or this one may not know of it.
    pub(super) fn open(number: u32) -> io::Result<Self> {
        // SAFETY: no pointers are passed; the handle is checked, and owned by nobody else.
        unsafe {
            let handle = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, number);
            if handle.is_null() {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedHandle::from_raw_handle(handle)))
        }
    }

    /// Who runs it.
    ///
    /// # Errors
    ///
    /// This process may not know.
    pub(super) fn user(&self) -> io::Result<UserId> {
        user_of(self.0.as_raw_handle())
    }
}

/// Who runs this process.
///
/// # Errors
///
/// The system does not tell.
pub(super) fn current_user() -> io::Result<UserId> {
    // SAFETY: always works; what it returns need not be closed.
    user_of(unsafe { GetCurrentProcess() })
}

/// The user of this name; `None`: there is none.
///
/// # Errors
///
/// The system cannot tell.
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
    // A group has no processes.
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
            // There may be more by the next time.
            ERROR_INSUFFICIENT_BUFFER => table.resize(length as usize / 4, 0),
            code => return Err(io::Error::from_raw_os_error(code as i32)),
        }
    }
}

fn user_of(process: RawHandle) -> io::Result<UserId> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the handle is one of a process, and the caller keeps it; what is stored is checked,
    // and owned by nobody else.
    let token = unsafe {
        if OpenProcessToken(process, TOKEN_QUERY, &raw mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedHandle::from_raw_handle(token)
    };
    // A TOKEN_USER and the SID that it points to, aligned for both.
    let mut user = [0_u64; 32];
    let mut length = 0;
    let mut copy = [0_u8; LONGEST_SID];
    // SAFETY: the size is that of the buffer, in bytes. When it was written there is a TOKEN_USER
    // at its start, whose pointer leads to a SID in the same buffer, which is copied to one of the
    // size given.
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
