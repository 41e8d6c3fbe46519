//! `taskcluster-hawk-build <module.wasm> <folder>`: writes `hawk.js` and `hawk_bg.wasm` there.

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

/// The `web` target: a plain ES module with `initSync`, which every environment can take.
fn generate(module: &Path, folder: &Path) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name("hawk")
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        // Bundlers would look for the file that it names.
        .omit_default_module_path(true);
    bindgen.web(true).and_then(|web| web.generate(folder)).map_err(|error| format!("{error:#}"))
}

#[expect(clippy::print_stderr, reason = "a program of the build says so what went wrong")]
fn failed(reason: &str) -> ExitCode {
    eprintln!("taskcluster-hawk-build: {reason}");
    ExitCode::FAILURE
}
