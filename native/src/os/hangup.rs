//! Detects whether the launcher has set SIGHUP to be ignored, as `nohup` does.

/// Whether SIGHUP is ignored. Must be called before a handler is installed. Only Linux provides this
/// information; on other systems the handler takes effect despite `nohup`.
pub fn is_ignored() -> bool {
    // Querying the current handler requires unsafe code, but the kernel provides it as text (proc(5)).
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Whether bit 0, signal 1, is set in the mask of ignored signals.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        for (status, ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), ignored, "{status:?}");
        }
    }
}
