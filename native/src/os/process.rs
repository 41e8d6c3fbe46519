//! Limits and protection of this process.

/// Keeps this process's memory, and so the credentials, from other processes of the same user, and
/// out of core dumps.
///
/// On Linux. Elsewhere the system's defaults hold.
pub fn keep_memory_private() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // No ptrace, no /proc/<pid>/mem, and no core dump (prctl(2), PR_SET_DUMPABLE). Neither can
        // fail for a process that asks it of itself; if one does, the other is in force.
        if let Err(error) = nix::sys::prctl::set_dumpable(false) {
            tracing::warn!("other processes of this user may read the memory: {error}");
        }
    }
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, setrlimit};
        if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
            tracing::warn!("a crash may leave a core dump behind: {error}");
        }
    }
}

/// Raises the limit of file descriptors to the hard limit, as the Go program does, and returns how
/// many of `wanted` clients' connections it is enough for, while `rejections` more get 503.
pub fn room_for_connections(wanted: usize, rejections: usize) -> usize {
    let room = connections_within(descriptors(), wanted, rejections);
    if room < wanted {
        tracing::info!(
            "at most {room} connections at once instead of {wanted}: the limit of open files is too \
             low for more (ulimit -n)"
        );
    }
    room
}

/// A connection of a client needs another one to an upstream, and those beyond the limit need one each
/// while they are rejected.
fn connections_within(descriptors: usize, wanted: usize, rejections: usize) -> usize {
    let room = descriptors.saturating_sub(OWN_DESCRIPTORS);
    // While half as many are rejected as are served, or as many as are ever rejected at once.
    let connections = (room / 5 * 2).max(room.saturating_sub(rejections) / 2);
    connections.clamp(1, wanted)
}

/// What the program needs besides: listening sockets, standard streams, epoll, signals, name lookups,
/// files of certificates, connections to the admin listener.
const OWN_DESCRIPTORS: usize = 20;

/// Whether there is a descriptor for another socket (not EMFILE, not ENFILE).
pub fn has_descriptors() -> bool {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).is_ok()
}

#[cfg(unix)]
fn descriptors() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return usize::MAX;
    };
    let granted = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        // macOS names a hard limit that it does not grant.
        Err(_) => soft,
    };
    // The value for "no limit" is larger than a usize on some systems, and signed on others.
    granted.try_into().unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_two_descriptors() {
        for (descriptors, expected) in
            [(0, 1), (24, 1), (64, 16), (256, 102), (1024, 486), (2064, 1000), (usize::MAX, 1000)]
        {
            assert_eq!(connections_within(descriptors, 1000, 32), expected, "{descriptors}");
        }
    }
}
