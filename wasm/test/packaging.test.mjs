// Installs the package as it is published, and uses it with the same import in every environment that the README promises.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { build } from 'esbuild';
import * as hawk from 'taskcluster-hawk';
import { PACKAGE, freePort, hasChromium, installed, needs, openChromium, program, run, serve, started } from './tools.mjs';

/** What each environment runs: a signature, a bewit and its verification, temporary credentials, an error. */
const USE = `
export function use(hawk) {
  const now = new Date(1767225600000);
  const credentials = { clientId: 'tester', accessToken: 'no-secret', authorizedScopes: ['a:"e"'] };
  const { headers } = hawk.sign({ url: 'https://tc.example.com/x?y=\\'z\\'', method: 'PUT' }, credentials, { now, nonce: 'n' });
  const signed = hawk.bewit('https://tc.example.com/x', credentials, { now });
  const verified = hawk.verifyBewit(signed, () => ({ clientId: 'tester', accessToken: 'no-secret', scopes: ['*'] }), { now });
  const issuer = { clientId: 'tester', accessToken: 'no-secret' };
  const temporary = hawk.createTemporaryCredentials(issuer, { scopes: ['b'], now, seed: 's'.repeat(44) });
  const request = hawk.signRequest(new Request('https://tc.example.com/'), temporary, { now });
  let refused;
  try {
    hawk.bewit('nonsense', credentials);
  } catch (error) {
    refused = [error instanceof hawk.HawkError, error.name, error.code, error.message];
  }
  return JSON.parse(JSON.stringify({ headers, signed, verified, temporary, refused, random: request.headers.get('authorization').length }));
}
`;
const { use } = await import(`data:text/javascript,${encodeURIComponent(USE)}`);
const expected = use(hawk);

const MAIN = `import * as hawk from 'taskcluster-hawk';\nimport { use } from './use.mjs';\n`;
const PRINT = 'console.log(JSON.stringify(use(hawk)));\n';
const SHOW = 'document.title = JSON.stringify(use(hawk));\n';
const HTML = (script) => `<!doctype html><meta charset="utf-8"><title>waiting</title>${script}`;

let project;

before(async () => {
  project = await installed();
  project.write({
    'use.mjs': USE,
    'main.mjs': MAIN + PRINT,
    'main.cjs': `const hawk = require('taskcluster-hawk');\nimport('./use.mjs').then(({ use }) => ${PRINT.trim().slice(0, -1)});\n`,
    'show.mjs': MAIN + SHOW,
  });
});

after(() => project.remove());

async function prints(command, args) {
  const { stdout } = await run(command, args, { cwd: project.root });
  assert.deepEqual(JSON.parse(stdout), expected);
}

test('the tarball has one wasm module, one entry for each kind of environment, no sources, and at most 130 kB', () => {
  assert.deepEqual(project.files.sort(), [
    'LICENSE', 'README.md', 'dist/edge-light.js', 'dist/hawk.wasm', 'dist/index.cjs', 'dist/index.d.cts', 'dist/index.d.ts',
    'dist/index.js', 'dist/workerd.js', 'package.json',
  ]);
  assert.ok(project.size <= 130_000, `${project.size} bytes`);
});

test('Node, by import', () => prints(process.execPath, ['main.mjs']));

test('Node, by require', () => prints(process.execPath, ['main.cjs']));

for (const entry of ['main.mjs', 'main.cjs']) {
  test(`Node, bundled: ${entry}`, async () => {
    for (const [format, extension] of [['esm', 'mjs'], ['cjs', 'cjs']]) {
      const outfile = join(project.root, `bundled/${entry}.${extension}`);
      await build({ entryPoints: [join(project.root, entry)], bundle: true, platform: 'node', format, outfile, minify: true });
      await prints(process.execPath, [outfile]);
    }
  });
}

test('an uncaught error shows a readable line of source code', async () => {
  for (const [file, load] of [['uncaught.mjs', "import { bewit } from 'taskcluster-hawk';"], ['uncaught.cjs', "const { bewit } = require('taskcluster-hawk');"]]) {
    for (const call of ["bewit('nonsense', { clientId: 'a', accessToken: 'b' });", "bewit('https://h/', { clientId: '', accessToken: 'b' });", 'bewit(1);']) {
      project.write({ [file]: `${load}\n${call}\n` });
      const { stderr } = await run(process.execPath, [file], { cwd: project.root }).then(() => assert.fail('it passed'), (error) => error);
      const lines = stderr.split('\n');
      assert.ok(lines.every((line) => line.length < 250), stderr.slice(0, 2000));
      assert.match(lines[1], /\b(throw|return new HawkError)\b/);
      assert.match(stderr, /\n(HawkError|TypeError): \w+.*: expected /);
      assert.match(stderr, new RegExp(`\\n    at .*${file.replace('.', '\\.')}:2:`));
    }
  }
});

describe('the error says why WebAssembly cannot run:', () => {
  for (const [what, code, message] of [
    ['without WebAssembly', 'delete globalThis.WebAssembly', 'WebAssembly cannot be used here: this environment does not have it'],
    ['with an old engine', "WebAssembly.Module = function () { throw new WebAssembly.CompileError('wrong opcode') }", 'WebAssembly cannot be used here: the module does not start; it needs WebAssembly with SIMD (Safari 16.4 or later), some memory, and its own unchanged bytes (CompileError: wrong opcode)'],
    ['forbidden by the platform', "WebAssembly.Module = function () { throw new WebAssembly.CompileError('Wasm code generation disallowed by embedder') }", /^WebAssembly cannot be used here: it is forbidden, by a content security policy without 'wasm-unsafe-eval' or by the platform/],
  ]) {
    test(what, async () => {
      project.write({ 'unavailable.mjs': `${MAIN}${code};\ntry { use(hawk); } catch ({ name, code, message }) { console.log(JSON.stringify([name, code, message])); }\n` });
      const { stdout } = await run(process.execPath, ['unavailable.mjs'], { cwd: project.root });
      const [name, errorCode, found] = JSON.parse(stdout);
      assert.deepEqual([name, errorCode], ['HawkError', 'WebAssemblyUnavailable']);
      if (typeof message === 'string') assert.equal(found, message);
      else assert.match(found, message);
    });
  }
});

describe('TypeScript, as strict as it can be', () => {
  const strict = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, target: 'es2022', types: [], skipLibCheck: false };
  for (const [name, source, options] of [
    ['Node', 'consumer.ts', { module: 'nodenext', lib: ['es2022', 'dom'] }],
    ['Node 16', 'consumer.ts', { module: 'node16', lib: ['es2022', 'dom'] }],
    ['a bundler', 'consumer.ts', { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'] }],
    ['without the types of the DOM and of Node', 'consumer-es2022.ts', { module: 'nodenext', lib: ['es2022'] }],
  ]) {
    test(`${name}, as a module and by require`, async () => {
      const text = readFileSync(join(PACKAGE, 'test', source), 'utf8');
      const folder = name.replaceAll(' ', '-');
      project.write({
        [`${folder}/module.mts`]: text,
        [`${folder}/required.cts`]: text,
        [`${folder}/tsconfig.json`]: JSON.stringify({ compilerOptions: { ...strict, ...options }, include: ['*'] }),
      });
      const tsc = join(PACKAGE, 'node_modules/.bin/tsc');
      await run(tsc, ['-p', folder], { cwd: project.root }).catch(({ stdout }) => assert.fail(stdout));
    });
  }
});

describe('in Chromium', needs('chromium', hasChromium), () => {
  let browser;
  let server;

  before(async () => {
    browser = await openChromium();
    server = await serve(project.root);
  });

  after(async () => {
    await browser?.close();
    server?.close();
  });

  async function shows(path, encoding = 'UTF-8') {
    const page = await browser.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error));
    await page.goto(server.url + path);
    await page.waitForFunction("document.title !== 'waiting'", undefined, { timeout: 10_000 }).catch((error) => assert.fail(errors[0] ?? error));
    assert.deepEqual(JSON.parse(await page.title()), expected);
    assert.equal(await page.evaluate('document.characterSet'), encoding);
    await page.close();
  }

  test('a plain page, without a bundler', async () => {
    const map = '<script type="importmap">{"imports":{"taskcluster-hawk":"/node_modules/taskcluster-hawk/dist/index.js"}}</script>';
    project.write({ 'plain.html': HTML(`${map}<script type="module" src="/show.mjs"></script>`) });
    await shows('/plain.html');
  });

  test('a build by Vite', async () => {
    const vite = await import('vite');
    project.write({ 'index.html': HTML('<script type="module" src="/show.mjs"></script>') });
    await vite.build({ root: project.root, logLevel: 'warn', build: { outDir: 'vite' }, base: '/vite/', configFile: false });
    await shows('/vite/index.html');
  });

  test('a build by webpack', async () => {
    const { default: webpack } = await import('webpack');
    project.write({ 'webpack/index.html': HTML('<script src="main.js"></script>') });
    const stats = await new Promise((built, failed) => {
      const config = { mode: 'production', context: project.root, entry: './show.mjs', output: { path: join(project.root, 'webpack') } };
      webpack(config, (error, result) => (error ? failed(error) : built(result)));
    });
    assert.ok(!stats.hasErrors(), stats.toString());
    await shows('/webpack/index.html');
    // A classic script is read in the encoding of its page; this page does not declare one.
    project.write({ 'webpack/no-charset.htm': '<!doctype html><title>waiting</title><script src="main.js"></script>' });
    await shows('/webpack/no-charset.htm', 'windows-1252');
  });

  test('the error names a content security policy that forbids WebAssembly', async () => {
    const strict = await serve(project.root, "default-src 'self'; script-src 'self' 'unsafe-inline'");
    const map = '<script type="importmap">{"imports":{"taskcluster-hawk":"/node_modules/taskcluster-hawk/dist/index.js"}}</script>';
    project.write({
      'strict.html': HTML(`${map}<script type="module" src="/strict.mjs"></script>`),
      'strict.mjs': `${MAIN}try { use(hawk); } catch (error) { document.title = error.message; }\n`,
    });
    const page = await browser.newPage();
    await page.goto(`${strict.url}/strict.html`);
    await page.waitForFunction("document.title !== 'waiting'");
    assert.match(await page.title(), /^WebAssembly cannot be used here: it is forbidden, by a content security policy without 'wasm-unsafe-eval'/);
    await page.close();
    strict.close();
  });
});

test('workerd, bundled as wrangler does', async () => {
  const { Miniflare } = await import('miniflare');
  project.write({ 'worker.mjs': `${MAIN}export default { fetch: () => Response.json(use(hawk)) };\n` });
  const { outputFiles } = await build({
    entryPoints: [join(project.root, 'worker.mjs')], bundle: true, write: false, format: 'esm',
    conditions: ['workerd', 'worker', 'browser'], external: ['*.wasm'],
  });
  const module = readFileSync(join(project.root, 'node_modules/taskcluster-hawk/dist/hawk.wasm'));
  const worker = new Miniflare({
    cf: false,
    compatibilityDate: '2026-01-01',
    modules: [
      { type: 'ESModule', path: 'worker.mjs', contents: outputFiles[0].text },
      { type: 'CompiledWasm', path: 'hawk.wasm', contents: module },
    ],
  });
  const response = await worker.dispatchFetch('http://localhost/');
  const text = await response.text();
  await worker.dispose();
  assert.deepEqual(JSON.parse(text), expected);
});

describe('Next.js', () => {
  const next = join(PACKAGE, 'node_modules/next/dist/bin/next');
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' };
  const route = (runtime, get) => `${get}\nexport const runtime = '${runtime}';\nexport const dynamic = 'force-dynamic';\n`;
  const GET = `import * as hawk from 'taskcluster-hawk';\nimport { use } from '../../use.mjs';\nexport const GET = () => Response.json(use(hawk));`;
  let root;

  before(async () => {
    // Inside this package, so that Next.js is found.
    root = await installed(join(PACKAGE, 'test'));
    root.write({
      // Without a type: in a project of type module, Next.js fails to build edge routes with webpack.
      'package.json': JSON.stringify({ name: 'consumer', private: true }),
      'use.mjs': USE,
      'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>;\n',
      'app/edge/route.js': route('edge', GET),
      'app/node/route.js': route('nodejs', GET),
      'app/required/route.js': route('nodejs', GET.replace(/import \* as hawk from ('.*');/, 'const hawk = require($1);')),
    });
  });

  after(() => root?.remove());

  for (const bundler of ['turbopack', 'webpack']) {
    test(`routes of the edge and the Node runtime, built by ${bundler}`, async () => {
      await run(process.execPath, [next, 'build', `--${bundler}`], { cwd: root.root, env }).catch(({ stdout, stderr }) => assert.fail(stdout + stderr));
      const port = await freePort();
      const server = await started(process.execPath, [next, 'start', '--port', String(port), '--hostname', '127.0.0.1'], 'Ready', { cwd: root.root, env });
      try {
        for (const path of ['edge', 'node', 'required']) {
          const response = await fetch(`http://127.0.0.1:${port}/${path}`);
          assert.equal(response.status, 200, path);
          assert.deepEqual(await response.json(), expected, path);
        }
      } finally {
        server.stop();
      }
    });
  }
});

const deno = program('deno');
test('Deno, without permissions', needs('deno', deno), () => prints(deno, ['run', '--quiet', '--no-prompt', '--node-modules-dir=manual', 'main.mjs']));

const bun = program('bun') ?? (await run(process.execPath, [join(PACKAGE, 'node_modules/bun/install.js')]).catch(() => {}), program('bun'));
test('Bun', needs('bun', bun), () => prints(bun, ['run', 'main.mjs']));
