//! The entry point of the program, which calls `taskcluster_proxy::run`.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    taskcluster_proxy::run(std::env::args_os())
}
