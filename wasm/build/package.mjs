// Makes dist/: the wasm module, its JavaScript, one entry for each kind of environment, the types.
// Installs what it needs of the Rust toolchain.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { buildDemo } from './demo.mjs';
import { checkSizes } from './size.mjs';

process.chdir(new URL('..', import.meta.url).pathname);

const TARGET = 'wasm32-unknown-unknown';
const PLACEHOLDER = '@module@';
/** The quote, 34, is below it. */
const SHIFT = 35;
const cargo = (args, env = {}) =>
  execFileSync('cargo', args, { stdio: 'inherit', env: { ...process.env, ...env } });

const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version=1', '--no-deps'], { encoding: 'utf8' }));

/** The package has the version of the workspace. */
function checkVersion() {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const crate = metadata.packages.find(({ name }) => name === 'taskcluster-proxy-wasm');
  if (crate.version !== version) throw new Error(`package.json: expected version ${crate.version}, found ${version}`);
}

function installToolchain() {
  execFileSync('rustup', ['target', 'add', TARGET], { stdio: 'inherit' });
  execFileSync('rustup', ['component', 'add', 'rust-src'], { stdio: 'inherit' });
}

// The standard library as it comes prepared is a fifth of the module: it prints panics, of which the
// module has none. Rebuilding it is not stable yet, hence RUSTC_BOOTSTRAP.
const BOOTSTRAP = ['-Zbuild-std=std,panic_abort', '-Zbuild-std-features=optimize_for_size'];
const RUSTFLAGS = [
  '-Zunstable-options',
  '-Cpanic=immediate-abort',
  '-Zlocation-detail=none',
  // Every engine that this package is for has it; SHA-256 is twice as fast, and smaller.
  '-Ctarget-feature=+simd128',
  // Where opt-level "z" inlines nothing, signing takes a seventh longer for 2 % less.
  '-Cllvm-args=-inline-threshold=25',
];

function compileModule() {
  const crate = ['--package', 'taskcluster-proxy-wasm', '--target', TARGET, '--profile', 'wasm'];
  cargo(['build', ...crate, ...BOOTSTRAP], { RUSTC_BOOTSTRAP: '1', RUSTFLAGS: RUSTFLAGS.join(' ') });
}

function generateBindings() {
  rmSync('pkg', { recursive: true, force: true });
  const module = `${metadata.target_directory}/${TARGET}/wasm/taskcluster_proxy_wasm.wasm`;
  cargo(['run', '--quiet', '--package', 'taskcluster-hawk-build', '--profile', 'tool', '--', module, 'pkg']);
}

/** A fortieth smaller. */
function shrinkModule() {
  const features = ['simd', 'bulk-memory', 'reference-types', 'multivalue', 'mutable-globals', 'nontrapping-float-to-int', 'sign-ext'];
  const options = ['-Os', '--strip-target-features', ...features.map((feature) => `--enable-${feature}`)];
  execFileSync('node_modules/.bin/wasm-opt', [...options, 'pkg/hawk_bg.wasm', '--output', 'pkg/hawk.wasm'], { stdio: 'inherit' });
}

const common = { bundle: true, minify: true, charset: 'utf8', target: 'es2022', legalComments: 'none' };

async function bundleEntries() {
  writeFileSync('pkg/bytes.js', `export const text = '${PLACEHOLDER}';\nexport const shift = ${SHIFT};\n`);
  rmSync('dist', { recursive: true, force: true });
  mkdirSync('dist');
  await build({ ...common, entryPoints: ['js/inline.js'], format: 'esm', outfile: 'dist/index.js' });
  await build({ ...common, entryPoints: ['js/workerd.js'], format: 'esm', outfile: 'dist/workerd.js', external: ['./hawk.wasm'] });
  inlineModule('dist/index.js');
  writeFileSync('dist/index.cjs', asCommonJs(readFileSync('dist/index.js', 'utf8')));
  copyFileSync('pkg/hawk.wasm', 'dist/hawk.wasm');
  copyFileSync('../LICENSE', 'LICENSE');
  for (const types of ['index.d.ts', 'index.d.cts']) copyFileSync('js/index.d.ts', `dist/${types}`);
}

// One character for each byte: base64 would be a third larger, also after compression. The shift makes
// printable characters of what would be control characters.
function inlineModule(entry) {
  const characters = Array.from(readFileSync('pkg/hawk.wasm'), (byte) => String.fromCharCode(byte + SHIFT));
  const literal = characters.join('').replaceAll('\\', '\\\\');
  const [before, after, ...more] = readFileSync(entry, 'utf8').split(`"${PLACEHOLDER}"`);
  if (after === undefined || more.length > 0) throw new Error(`${entry}: expected one place for the module`);
  writeFileSync(entry, `${before}"${literal}"${after}`);
}

/** The same but for its last line; what esbuild makes of it is half a kilobyte larger. */
function asCommonJs(bundle) {
  const exports = /export\{([^{}]*)\};\s*$/;
  const [, names] = exports.exec(bundle);
  const members = names.split(',').map((name) => name.split(' as ')).map(([local, name]) => `${name}:${local}`);
  // A function: in a text a `$` would stand for something.
  return `"use strict";${bundle.replace(exports, () => `module.exports={${members.join(',')}};\n`)}`;
}

checkVersion();
installToolchain();
compileModule();
generateBindings();
shrinkModule();
await bundleEntries();
await buildDemo(common);
checkSizes();
