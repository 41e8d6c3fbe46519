// Makes dist/: the wasm module, its JavaScript, one entry for each kind of environment, the types.
// Installs what it needs of the Rust toolchain.
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
  // Nobody reads what is generated.
  const { code } = transformSync(readFileSync('pkg/hawk_bg.js', 'utf8'), { format: 'esm', minify: true });
  writeFileSync('pkg/hawk_bg.js', code);
}

/** A fortieth smaller. */
function shrinkModule() {
  const features = ['simd', 'bulk-memory', 'reference-types', 'multivalue', 'mutable-globals', 'nontrapping-float-to-int', 'sign-ext'];
  const options = ['-Os', '--strip-target-features', ...features.map((feature) => `--enable-${feature}`)];
  execFileSync('node_modules/.bin/wasm-opt', [...options, 'pkg/hawk_bg.wasm', '--output', 'pkg/hawk.wasm'], { stdio: 'inherit' });
}

/** Names stay and lines are short: Node prints the line of an uncaught error. */
const common = { bundle: true, minifySyntax: true, minifyWhitespace: true, lineLimit: 80, target: 'es2022', legalComments: 'none' };

async function bundleEntries() {
  const module = readFileSync('pkg/hawk.wasm');
  writeFileSync('pkg/bytes.js', `export const text = '${PLACEHOLDER}';\nexport const length = ${module.length};\n`);
  rmSync('dist', { recursive: true, force: true });
  mkdirSync('dist');
  const options = { ...common, format: 'esm', external: ['./hawk.wasm*'] };
  await build({ ...options, entryPoints: ['js/inline.js'], outfile: 'dist/index.js' });
  await build({ ...options, entryPoints: ['js/workerd.js'], outfile: 'dist/workerd.js' });
  await build({ ...options, entryPoints: ['js/edge-light.js'], outfile: 'dist/edge-light.js' });
  await build({ ...common, entryPoints: ['js/require.js'], outfile: 'dist/index.cjs', format: 'cjs', platform: 'node' });
  inlineModule('dist/index.js', module);
  copyFileSync('pkg/hawk.wasm', 'dist/hawk.wasm');
  copyFileSync('../LICENSE', 'LICENSE');
  for (const types of ['index.d.ts', 'index.d.cts']) copyFileSync('js/index.d.ts', `dist/${types}`);
}

/** Afterwards, as esbuild would write some of the characters in another way. */
function inlineModule(entry, module) {
  const [before, after, ...more] = readFileSync(entry, 'utf8').split(`"${PLACEHOLDER}"`);
  if (after === undefined || more.length > 0) throw new Error(`${entry}: expected one place for the module`);
  writeFileSync(entry, `${before}"${toPrintable(module)}"${after}`);
}

checkVersion();
installToolchain();
compileModule();
generateBindings();
shrinkModule();
await bundleEntries();
await buildDemo(common);
checkSizes();
