//! `taskcluster-hawk-build <module.wasm> <folder>`: writes `hawk_bg.js` and `hawk_bg.wasm` there.

use std::path::Path;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        return failed("expected two arguments: <module.wasm> <folder>");
    };
    match generate(Path::new(module), Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Generates JavaScript for wasm-bindgen's `bundler` target. It does not load the module itself, and so fits every
/// environment; wasm/js/module.js starts the module.
fn generate(module: &Path, folder: &Path) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name("hawk")
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    bindgen
        .bundler(true)
        .and_then(|bundler| bundler.generate(folder))
        .map_err(|error| format!("{error:#}"))
}

#[expect(clippy::print_stderr, reason = "a build program reports errors on stderr")]
fn failed(reason: &str) -> ExitCode {
    eprintln!("taskcluster-hawk-build: {reason}");
    ExitCode::FAILURE
}
