//! Users of the machine.

use std::fmt;

/// The identity of a user on this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserId {
    /// A user id of Unix.
    Uid(u32),
    /// A security identifier of Windows in text form: `S-1-5-18`.
    Sid(String),
}

impl UserId {
    /// Whether this is root, or SYSTEM on Windows, who can do whatever other users can.
    pub fn is_root(&self) -> bool {
        match self {
            Self::Uid(uid) => *uid == 0,
            Self::Sid(sid) => sid == SYSTEM,
        }
    }

    /// The user who runs this process.
    ///
    /// # Errors
    ///
    /// The system does not provide it.
    pub fn current() -> std::io::Result<Self> {
        #[cfg(unix)]
        return Ok(Self::Uid(nix::unistd::geteuid().as_raw()));
        #[cfg(windows)]
        return super::windows_api::current_user();
        #[cfg(not(any(unix, windows)))]
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// Looks up the user with this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The system's list of users cannot be read.
    pub fn named(name: &str) -> std::io::Result<Option<Self>> {
        #[cfg(unix)]
        return Ok(nix::unistd::User::from_name(name)?.map(|user| Self::Uid(user.uid.as_raw())));
        #[cfg(windows)]
        return super::windows_api::user_named(name);
        #[cfg(not(any(unix, windows)))]
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Sid(sid) => write!(f, "SID {sid}"),
        }
    }
}

/// Windows' LocalSystem.
const SYSTEM: &str = "S-1-5-18";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_system_alone_are_root() {
        for (user, expected) in [
            (UserId::Uid(0), true),
            (UserId::Uid(1), false),
            (UserId::Uid(u32::MAX), false),
            (UserId::Sid("S-1-5-18".to_owned()), true),
            (UserId::Sid("S-1-5-19".to_owned()), false),
            (UserId::Sid(String::new()), false),
        ] {
            assert_eq!(user.is_root(), expected, "{user}");
        }
    }
}
