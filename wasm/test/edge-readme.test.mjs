// Runs the commands of the edge worker's README in a copy of its folder, with an upstream that verifies signatures.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createTemporaryCredentials, verifyHeader } from 'taskcluster-hawk';
import { PACKAGE, freePort, listen, run, shellBlocks, started } from './tools.mjs';

const tester = { clientId: 'tester', accessToken: 'no-secret' };
const lookup = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : null);
const temporary = createTemporaryCredentials(tester, { scopes: ['a:#1', "b:'$2'"], name: 'tester/edge' });

describe("the edge worker's README", () => {
  const [build, start, request, deploy] = shellBlocks(`${PACKAGE}edge/README.md`);
  const root = mkdtempSync(join(tmpdir(), 'taskcluster-edge-'));
  const edge = join(root, 'edge');
  let upstream;
  let worker;
  let url;

  before(async () => {
    upstream = await listen((received, response) => {
      const { authorization } = received.headers;
      try {
        const { scopes } = verifyHeader({ url: upstream.url + received.url, authorization }, lookup);
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ scopes, path: received.url }));
      } catch (error) {
        response.writeHead(401).end(error.message);
      }
    });
    // The output of the first block, which wasm/run-tests has already run.
    for (const part of ['package.json', 'dist', 'edge']) {
      cpSync(PACKAGE + part, join(root, part), { recursive: true, filter: (path) => !path.includes('node_modules') });
    }
  });

  after(() => {
    worker?.stop();
    upstream.close();
    rmSync(root, { recursive: true, force: true });
  });

  const shell = (commands) => run('bash', ['-euc', commands], { cwd: edge });

  test('its first block is what wasm/run-tests runs', () => {
    const runTests = readFileSync(`${PACKAGE}run-tests`, 'utf8');
    for (const command of build.trim().split(' && ')) assert.ok(runTests.includes(`\n${command}`), command);
  });

  test('starts the worker', { timeout: 100_000 }, async () => {
    const port = await freePort();
    url = `http://localhost:${port}`;
    replace('wrangler.toml', 'https://tc.example.com', upstream.url);
    assert.match(start, /\nnpx wrangler dev\n$/);
    worker = await started('bash', ['-euc', `${start.trimEnd()} --port ${port}`], 'Ready on', {
      cwd: edge,
      env: {
        ...process.env,
        TASKCLUSTER_CLIENT_ID: temporary.clientId,
        TASKCLUSTER_ACCESS_TOKEN: temporary.accessToken,
        TASKCLUSTER_CERTIFICATE: temporary.certificate,
        WRANGLER_SEND_METRICS: 'false',
        npm_config_prefer_offline: 'true',
        npm_config_audit: 'false',
      },
    });
  });

  test('its request is served by the worker', async () => {
    assert.ok(request.includes('http://localhost:8787/'));
    const { stdout } = await shell(request.replace('http://localhost:8787', url));
    assert.deepEqual(JSON.parse(stdout), { scopes: ['a:#1', "b:'$2'", 'assume:anonymous'], path: '/api/auth/v1/scopes/current' });
  });

  test('the secrets are readable by their owner only, and ignored by git', async () => {
    assert.equal(statSync(join(edge, '.dev.vars')).mode & 0o077, 0);
    await run('git', ['init', '--quiet'], { cwd: edge });
    const { stdout } = await run('git', ['status', '--porcelain', '--untracked-files=all'], { cwd: edge });
    const paths = stdout.trim().split('\n').map((line) => line.slice(3)).filter((path) => !path.startsWith('node_modules/'));
    assert.deepEqual(paths.sort(), ['.gitignore', 'README.md', 'configuration.js', 'errors.js', 'headers.js', 'package.json', 'token.js', 'worker.js', 'wrangler.toml']);
  });

  // `wrangler dev` responds with a 503 of its own if the worker does not read the body.
  test('a body that is far too long is a 413, with and without Content-Length', async () => {
    const [, token] = /PROXY_BEARER_TOKEN=(.*)/.exec(readFileSync(join(edge, '.dev.vars'), 'utf8'));
    const megabyte = 'x'.repeat(1_000_000);
    const stream = () => new ReadableStream({ start: (to) => { for (let n = 0; n < 5; n += 1) to.enqueue(new TextEncoder().encode(megabyte)); to.close(); } });
    for (const body of [megabyte.repeat(5), stream()]) {
      const response = await fetch(`${url}/bewit`, { method: 'POST', body, duplex: 'half', headers: { authorization: `Bearer ${token}` } });
      assert.deepEqual([response.status, (await response.json()).code], [413, 'InputTooLarge']);
    }
  });

  test('the dry run of the deployment succeeds', async () => {
    const [command] = deploy.split('\n');
    assert.equal(command, 'npx wrangler deploy');
    const { stdout } = await shell(`${command} --dry-run`);
    assert.match(stdout, /Total Upload/);
  });

  function replace(file, from, to) {
    const text = readFileSync(join(edge, file), 'utf8');
    assert.ok(text.includes(from));
    writeFileSync(join(edge, file), text.replace(from, to));
  }
});
