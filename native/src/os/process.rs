//! Resource limits and memory protection of this process.

/// Prevents other processes of the same user from reading this process's memory with the credentials (on
/// Linux), and disables core dumps (on Unix).
pub fn keep_memory_private() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // No ptrace, no /proc/<pid>/mem, and no core dump (prctl(2), PR_SET_DUMPABLE). This and setrlimit
        // cannot fail here; if one fails nevertheless, the other still takes effect.
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

/// Raises the limit of file descriptors to the hard limit, as the Go program does. Returns how many clients'
/// connections it allows, at most `wanted`, while up to `rejections` more get 503.
pub fn room_for_connections(wanted: usize, rejections: usize) -> usize {
    let room = connections_within(descriptors(), wanted, rejections);
    if room < wanted {
        tracing::info!(
            "the maximum number of connections is {room} instead of {wanted}: the limit of open files is \
             too low for more (ulimit -n)"
        );
    }
    room
}

/// A client's connection needs two descriptors, one of them for the upstream; a connection that is being
/// rejected needs one.
fn connections_within(descriptors: usize, wanted: usize, rejections: usize) -> usize {
    let room = descriptors.saturating_sub(OWN_DESCRIPTORS);
    // Either with half as many rejections as connections, or with the maximum of rejections.
    let connections = (room / 5 * 2).max(room.saturating_sub(rejections) / 2);
    connections.clamp(1, wanted)
}

/// The number of other descriptors: listening sockets, standard streams, epoll, signals, name resolution,
/// certificate files, connections to the admin listener.
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
        // macOS reports a hard limit to which the limit cannot be raised.
        Err(_) => soft,
    };
    // The value for "no limit" does not fit a usize on some systems.
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
