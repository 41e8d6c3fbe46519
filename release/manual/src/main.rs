//! Writes the man page and the shells' completions, made from the program's definition of its command
//! line, into a directory: `cargo run --package taskcluster-proxy-manual -- <directory>`.

mod page;

use clap_complete::{Shell, generate_to};
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};
use taskcluster_proxy::command;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("expected a directory to write to, found none")?;
    let directory = PathBuf::from(directory);
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    fs::write(directory.join("taskcluster-proxy.1"), page::render(command())?)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
        generate_to(shell, &mut command(), "taskcluster-proxy", &completions)?;
    }
    Ok(())
}
