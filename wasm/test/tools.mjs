// Support for the tests: browsers and other runtimes, servers, projects that have the packed package installed.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';

export const PACKAGE = new URL('..', import.meta.url).pathname;
export const run = promisify(execFile);

/**
 * The options of a test that needs a tool: without the tool it is skipped with a message. In CI nothing is skipped, so
 * that the test fails.
 */
export function needs(tool, present) {
  return present || process.env.CI === 'true' ? {} : { skip: `${tool} is missing` };
}

/** The path of a program in node_modules; `undefined` if it does not run. */
export function program(name, args = ['--version']) {
  const path = join(PACKAGE, 'node_modules/.bin', name);
  try {
    execFileSync(path, args, { stdio: 'ignore' });
    return path;
  } catch {
    return undefined;
  }
}

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);

export async function openChromium() {
  const { chromium } = await import('playwright-core');
  const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  return chromium.launch({ executablePath: CHROMIUM, args: ['--headless', '--no-sandbox', ...quiet] });
}

/** A temporary project in `parent` with the packed package installed; it can also import the packages of `parent`. */
export async function installed(parent = tmpdir()) {
  const root = mkdtempSync(join(parent, 'taskcluster-hawk-'));
  const packed = await run('npm', ['pack', '--json', '--pack-destination', root], { cwd: PACKAGE });
  const [{ filename, files, size }] = [JSON.parse(packed.stdout)].flat().flatMap((all) => (all.filename ? [all] : Object.values(all)));
  writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(root, filename)], { cwd: root });
  return {
    root,
    files: files.map(({ path }) => path),
    /** Of the packed package, in bytes. */
    size,
    /** Writes files, by their paths. */
    write(contents) {
      for (const [path, content] of Object.entries(contents)) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), content);
      }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** The contents of the blocks of shell commands in a document. */
export function shellBlocks(document) {
  return [...readFileSync(document, 'utf8').matchAll(/```sh\n([^]*?)```/g)].map(([, commands]) => commands);
}

/** A server on a free port. */
export async function listen(handle) {
  const server = createServer(handle);
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => (server.close(), server.closeAllConnections()),
  };
}

/** A port that nothing listens on. */
export async function freePort() {
  const { url, close } = await listen(() => {});
  close();
  return Number(new URL(url).port);
}

/** Starts a program in a process group of its own, and waits until its output contains `ready`. */
export async function started(command, args, ready, options) {
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  await new Promise((isReady, failed) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk) => (output += chunk).includes(ready) && isReady());
    }
    child.on('error', failed).on('exit', () => failed(new Error(`it ended: ${output}`)));
  });
  return { stop: () => child.exitCode === null && process.kill(-child.pid) };
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.htm': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css' };

/** The strictest content security policy with which the pages work. */
const POLICY = "default-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'";

/** Serves the files of a folder on a free port. */
export async function serve(folder, policy = POLICY) {
  return listen((request, response) => {
    const path = join(folder, normalize(new URL(request.url, 'http://x').pathname));
    if (!existsSync(path) || !extname(path)) return response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
      'content-security-policy': policy,
    });
    response.end(readFileSync(path));
  });
}
