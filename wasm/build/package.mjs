// Builds dist/: the wasm module, its JavaScript, one entry point for each kind of environment, the types.
// Installs the parts of the Rust toolchain that it needs.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build, transformSync } from 'esbuild';
import { buildDemo } from './demo.mjs';
import { checkSizes } from './size.mjs';
import { toPrintable } from '../js/printable.js';

process.chdir(new URL('..', import.meta.url).pathname);

const TARGET = 'wasm32-unknown-unknown';
const PLACEHOLDER = '@module@';
const cargo = (args, env = {}) =>
  execFileSync('cargo', args, { stdio: 'inherit', env: { ...process.env, ...env } });

const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version=1', '--no-deps'], { encoding: 'utf8' }));

/** Fails unless the package has the version of the workspace. */
function checkVersion() {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const crate = metadata.packages.find(({ name }) => name === 'taskcluster-proxy-wasm');
  if (crate.version !== version) throw new Error(`package.json: expected version ${crate.version}, found ${version}`);
}

function installToolchain() {
  execFileSync('rustup', ['target', 'add', TARGET], { stdio: 'inherit' });
  execFileSync('rustup', ['component', 'add', 'rust-src'], { stdio: 'inherit' });
}

// The prebuilt standard library would be a fifth of the module: it formats panic messages, which the module does not
// need. Rebuilding it is not stable yet, hence RUSTC_BOOTSTRAP.
const BOOTSTRAP = ['-Zbuild-std=std,panic_abort', '-Zbuild-std-features=optimize_for_size'];
const RUSTFLAGS = [
  '-Zunstable-options',
  '-Cpanic=immediate-abort',
  '-Zlocation-detail=none',
  // Every engine that this package supports has SIMD; with it SHA-256 is smaller and twice as fast.
  '-Ctarget-feature=+simd128',
  // Without inlining, as with opt-level "z", the module is 2 % smaller and signing takes a seventh longer.
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
  // Minified, as stack traces do not need to show generated code.
  const { code } = transformSync(readFileSync('pkg/hawk_bg.js', 'utf8'), { format: 'esm', minify: true });
  writeFileSync('pkg/hawk_bg.js', code);
}

/** Makes the module 2.6 % smaller. */
function shrinkModule() {
  const features = ['simd', 'bulk-memory', 'reference-types', 'multivalue', 'mutable-globals', 'nontrapping-float-to-int', 'sign-ext'];
  const options = ['-Os', '--converge', '--strip-target-features', ...features.map((feature) => `--enable-${feature}`)];
  execFileSync('node_modules/.bin/wasm-opt', [...options, 'pkg/hawk_bg.wasm', '--output', 'pkg/hawk.wasm'], { stdio: 'inherit' });
}

/** Keeps names and short lines: Node prints the source line of an uncaught error. */
const common = { bundle: true, minifySyntax: true, minifyWhitespace: true, lineLimit: 80, target: 'es2022', legalComments: 'none' };

async function bundleEntries() {
  const module = readFileSync('pkg/hawk.wasm');
  const { text, alphabet, first } = toPrintable(module);
  writeFileSync('pkg/bytes.js', `export const text = '${PLACEHOLDER}', alphabet = "${alphabet}", first = [${first}], length = ${module.length};\n`);
  rmSync('dist', { recursive: true, force: true });
  mkdirSync('dist');
  const options = { ...common, format: 'esm', external: ['./hawk.wasm*'] };
  await build({ ...options, entryPoints: ['js/inline.js'], outfile: 'dist/index.js' });
  await build({ ...options, entryPoints: ['js/workerd.js'], outfile: 'dist/workerd.js' });
  await build({ ...options, entryPoints: ['js/edge-light.js'], outfile: 'dist/edge-light.js' });
  await build({ ...common, entryPoints: ['js/require.js'], outfile: 'dist/index.cjs', format: 'cjs', platform: 'node' });
  inlineModule('dist/index.js', text);
  copyFileSync('pkg/hawk.wasm', 'dist/hawk.wasm');
  copyFileSync('../LICENSE', 'LICENSE');
  for (const types of ['index.d.ts', 'index.d.cts']) copyFileSync('js/index.d.ts', `dist/${types}`);
}

/** Puts the module into the bundled entry; esbuild itself would escape some of the characters. */
function inlineModule(entry, text) {
  const [before, after, ...more] = readFileSync(entry, 'utf8').split(`"${PLACEHOLDER}"`);
  if (after === undefined || more.length > 0) throw new Error(`${entry}: expected exactly one placeholder for the module`);
  writeFileSync(entry, `${before}"${text}"${after}`);
}

checkVersion();
installToolchain();
compileModule();
generateBindings();
shrinkModule();
await bundleEntries();
await buildDemo(common);
checkSizes();
