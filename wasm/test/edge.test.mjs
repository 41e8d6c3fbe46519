// Tests of the edge worker in workerd, run by miniflare, with an upstream that verifies signatures.
import assert from 'node:assert/strict';
import { createServer, get, request as post } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { createTemporaryCredentials, verifyBewit, verifyHeader } from 'taskcluster-hawk';

const token = 'a-token.that~nobody/guesses+==';
const tester = { clientId: 'tester', accessToken: 'no-secret' };
const lookup = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : null);

let upstream;
let rootUrl;
let worker;
let base;
const received = [];
/** Header fields that an upstream sends although only the proxy may set them. */
const FORGED = Object.fromEntries(
  [
    'X-Taskcluster-Proxy-Version', 'X-Taskcluster-Proxy-Revision', 'X-Taskcluster-Proxy-Perm-Clientid', 'X-Taskcluster-Proxy-Temp-Clientid',
    'X-Taskcluster-Proxy-Temp-Scopes', 'X-Taskcluster-Authorized-Scopes', 'X-Taskcluster-Endpoint', 'X-Taskcluster-Proxy-Diagnosis',
    'X-Taskcluster-Proxy-Request-Id', 'X-Taskcluster-Authorized-Scopes-Count', 'X-Taskcluster-Proxy-Temp-Scopes-Count',
  ].map((name) => [name, 'forged']),
);

before(async () => {
  upstream = createServer(serve);
  await new Promise((listening) => upstream.listen(0, '127.0.0.1', listening));
  rootUrl = `http://127.0.0.1:${upstream.address().port}`;
  worker = await start();
  base = await worker.ready;
});

after(async () => {
  await worker?.dispose();
  upstream.close();
  upstream.closeAllConnections();
});

function serve(request, response) {
  const { pathname } = new URL(request.url, rootUrl);
  const { authorization } = request.headers;
  let verified;
  try {
    verified = verifyHeader({ method: request.method, url: rootUrl + request.url, authorization }, lookup);
  } catch (error) {
    return response.writeHead(401).end(error.message);
  }
  received.push({ url: request.url, headers: request.headers, verified });
  response.setHeader('x-upstream', ['1', '2']);
  if (pathname.endsWith('/forge')) return response.writeHead(200, FORGED).end();
  if (pathname.endsWith('/redirect')) return response.writeHead(303, { location: 'https://elsewhere.example/' }).end();
  if (pathname.endsWith('/gzip')) return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('packed'));
  if (pathname.endsWith('/events')) {
    return request.on('data', (chunk) => response.write(`to ${chunk}`)).on('end', () => response.end());
  }
  request.pipe(response);
}

async function start(bindings = {}) {
  const { outputFiles } = await build({
    entryPoints: [new URL('../edge/worker.js', import.meta.url).pathname],
    bundle: true, write: false, format: 'esm', conditions: ['workerd'], external: ['./hawk.wasm'],
    outfile: 'worker.js',
    // As if the package were installed as a dependency.
    alias: {
      'taskcluster-hawk': new URL('../dist/workerd.js', import.meta.url).pathname,
      'taskcluster-hawk/package.json': new URL('../package.json', import.meta.url).pathname,
    },
  });
  const given = {
    PROXY_BEARER_TOKEN: token,
    TASKCLUSTER_ROOT_URL: rootUrl,
    TASKCLUSTER_CLIENT_ID: tester.clientId,
    TASKCLUSTER_ACCESS_TOKEN: tester.accessToken,
    ...bindings,
  };
  const { readFile } = await import('node:fs/promises');
  return new Miniflare({
    compatibilityDate: '2026-01-01',
    cf: false,
    bindings: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    modules: [
      { type: 'ESModule', path: 'worker.js', contents: outputFiles[0].text },
      { type: 'CompiledWasm', path: 'hawk.wasm', contents: await readFile(new URL('../dist/hawk.wasm', import.meta.url)) },
    ],
  });
}

async function call(path, { authorization = `Bearer ${token}`, headers, ...init } = {}, to = worker) {
  const url = new URL(path, await to.ready);
  return fetch(url, { redirect: 'manual', ...init, headers: { ...(authorization && { authorization }), ...headers } });
}

async function assertError(response, status, code, message) {
  assert.equal(response.status, status);
  assert.equal(response.headers.get('content-type'), 'application/json');
  const body = await response.json();
  assert.equal(body.code, code);
  assert.match(body.message, message);
}

test('without the token nothing is served', async () => {
  for (const authorization of ['', 'Bearer', 'Bearer ', 'Bearer another', `Basic ${token}`, token, `Bearer ${token}x`, `Bearer ${token.slice(1)}`]) {
    for (const path of ['/queue/v1/ping', '/bewit', '/credentials', '/']) {
      const response = await call(path, { authorization });
      assert.equal(response.headers.get('www-authenticate'), 'Bearer');
      assert.equal(response.headers.get('x-taskcluster-proxy-perm-clientid'), null);
      await assertError(response, 401, 'AuthenticationFailed', /bearer token/);
    }
  }
  assert.equal(received.length, 0);
});

describe('a wrong binding is a configuration error that names it, and nothing is served:', () => {
  for (const [binding, value, message] of [
    ['PROXY_BEARER_TOKEN', undefined, /PROXY_BEARER_TOKEN is not set: without it this worker would sign for anyone/],
    ['PROXY_BEARER_TOKEN', '', /PROXY_BEARER_TOKEN is not set/],
    ['PROXY_BEARER_TOKEN', 'null', /PROXY_BEARER_TOKEN: expected a value; found the text null, which templates write for a missing one/],
    ['PROXY_BEARER_TOKEN', 'undefined', /PROXY_BEARER_TOKEN: .* found the text undefined/],
    ['PROXY_BEARER_TOKEN', 'no-secret', /PROXY_BEARER_TOKEN: expected a token of at least 16 letters, digits .*openssl rand/],
    ['PROXY_BEARER_TOKEN', 'no-secret with spaces in it', /PROXY_BEARER_TOKEN: expected a token of at least 16/],
    ['PROXY_BEARER_TOKEN', `${token}\n`, /PROXY_BEARER_TOKEN: expected a text without white space around it/],
    ['PROXY_BEARER_TOKEN', ['no-secret'], /PROXY_BEARER_TOKEN: expected a text; found a JSON value \(an array\)/],
    ['TASKCLUSTER_ROOT_URL', undefined, /TASKCLUSTER_ROOT_URL is not set/],
    ['TASKCLUSTER_ROOT_URL', 'null', /TASKCLUSTER_ROOT_URL: .* the text null/],
    ['TASKCLUSTER_ROOT_URL', 'tc.example.com', /TASKCLUSTER_ROOT_URL: expected an absolute URL/],
    ['TASKCLUSTER_ROOT_URL', 'https://u:p@tc.example.com', /TASKCLUSTER_ROOT_URL: .* user name or password/],
    ['TASKCLUSTER_ROOT_URL', 'https://tc.example.com/?q', /TASKCLUSTER_ROOT_URL: .* query/],
    ['TASKCLUSTER_CLIENT_ID', undefined, /TASKCLUSTER_CLIENT_ID is not set/],
    ['TASKCLUSTER_CLIENT_ID', 'null', /TASKCLUSTER_CLIENT_ID: .* the text null/],
    ['TASKCLUSTER_CLIENT_ID', 'a"b', /TASKCLUSTER_CLIENT_ID: expected a clientId: .* printable ASCII/],
    ['TASKCLUSTER_CLIENT_ID', 7, /TASKCLUSTER_CLIENT_ID: expected a text; found a JSON value \(a value of type number\)/],
    ['TASKCLUSTER_ACCESS_TOKEN', undefined, /TASKCLUSTER_ACCESS_TOKEN is not set/],
    ['TASKCLUSTER_ACCESS_TOKEN', 'undefined', /TASKCLUSTER_ACCESS_TOKEN: .* the text undefined/],
    ['TASKCLUSTER_ACCESS_TOKEN', 'no-secret\n', /TASKCLUSTER_ACCESS_TOKEN: expected a text without white space/],
    ['TASKCLUSTER_CERTIFICATE', 'null', /TASKCLUSTER_CERTIFICATE: .* the text null/],
    ['TASKCLUSTER_CERTIFICATE', '{"no-secret', /TASKCLUSTER_CERTIFICATE: expected JSON/],
    ['TASKCLUSTER_CERTIFICATE', { version: 1 }, /TASKCLUSTER_CERTIFICATE: expected a text/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', 'null', /TASKCLUSTER_AUTHORIZED_SCOPES: expected a JSON array of strings, \[\] for no scopes, .*; found null$/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', 'undefined', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found a text that is not JSON/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found an empty text/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', 'a b', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found a text that is not JSON/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '"a"', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found a value of type string/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '{}', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found a value of type object/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', 'false', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found a value of type boolean/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '["a", null]', /TASKCLUSTER_AUTHORIZED_SCOPES: .* found an array with something else in it/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', null, /TASKCLUSTER_AUTHORIZED_SCOPES: .* found null/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '["a", "\\ud800"]', /TASKCLUSTER_AUTHORIZED_SCOPES: expected a well-formed string, found a lone surrogate$/],
    ['TASKCLUSTER_AUTHORIZED_SCOPES', '["é"]', /TASKCLUSTER_AUTHORIZED_SCOPES: expected a scope of printable ASCII/],
    ['PROXY_REVISION', 'a\nb', /PROXY_REVISION: expected printable ASCII/],
    ['PROXY_REVISION', 'null', /PROXY_REVISION: .* the text null/],
  ]) {
    test(`${binding}=${JSON.stringify(value)}`, async () => {
      const other = await start({ [binding]: value });
      const before = received.length;
      const isToken = binding === 'PROXY_BEARER_TOKEN';
      if (!isToken) assert.equal((await call('/queue/v1/ping', { authorization: 'Bearer x' }, other)).status, 401);
      const response = await call('/queue/v1/ping', isToken ? { authorization: `Bearer ${value}`.trim() } : {}, other);
      const text = await response.clone().text();
      assert.ok(!text.includes('no-secret'), text);
      await assertError(response, 500, 'NotConfigured', message);
      assert.equal(received.length, before);
      await other.dispose();
    });
  }
});

test('authorized scopes restrict, as a text of JSON and as a binding of type JSON', async () => {
  for (const [value, scopes] of [['[]', []], ['["a"]', ['a']], [['a'], ['a']]]) {
    const other = await start({ TASKCLUSTER_AUTHORIZED_SCOPES: value });
    const { headers } = await call('/queue/v1/x', {}, other);
    assert.equal(headers.get('x-taskcluster-authorized-scopes'), JSON.stringify(scopes));
    assert.deepEqual(received.at(-1).verified.scopes, [...scopes, 'assume:anonymous']);
    await other.dispose();
  }
});

test('a request is signed for the upstream that each form of URL names', async () => {
  for (const [path, url] of [['/api/queue/v1/a%2Fb?c=%2f&d', '/api/queue/v1/a%2Fb?c=%2f&d'], ['/queue/v1/x?', '/api/queue/v1/x?']]) {
    const response = await call(path);
    assert.equal(response.status, 200);
    assert.equal(received.at(-1).url.replace(/\?$/, ''), url.replace(/\?$/, ''));
    assert.equal(received.at(-1).verified.clientId, 'tester');
    assert.ok(response.headers.get('x-taskcluster-endpoint').startsWith(rootUrl));
    assert.equal(response.headers.get('x-taskcluster-proxy-perm-clientid'), 'tester');
    assert.match(response.headers.get('x-taskcluster-proxy-version'), /^\d+\.\d+\.\d+$/);
    assert.equal(response.headers.get('x-taskcluster-proxy-revision'), 'unknown');
  }
  // No such host exists; the error names its URL.
  const response = await call('/host.invalid/x');
  await assertError(response, 502, 'UpstreamUnreachable', /^no response from https:\/\/host\.invalid: /);
  assert.equal(response.headers.get('x-taskcluster-proxy-perm-clientid'), 'tester');
});

test('end-to-end headers are forwarded, and no others', async () => {
  const headers = {
    authorization: `Bearer ${token}`, connection: 'x-hop, authorization', 'x-hop': 'x', 'x-one': '1',
    'keep-alive': 'x', 'proxy-authorization': 'Basic x', 'cf-ray': 'x', 'x-forwarded-port': '1', 'x-forwarded-host': 'x',
  };
  // Not with fetch, which does not send such headers.
  const response = await new Promise((received, failed) => {
    get(new URL('/queue/v1/x', base), { headers }, received).on('error', failed);
  });
  response.resume();
  assert.equal(response.statusCode, 200);
  const seen = received.at(-1).headers;
  assert.equal(seen['x-one'], '1');
  for (const name of ['x-hop', 'keep-alive', 'proxy-authorization', 'cf-ray', 'x-forwarded-proto', 'x-forwarded-port', 'x-forwarded-host', 'x-real-ip']) assert.equal(seen[name], undefined, name);
  assert.ok(!JSON.stringify(seen).includes(token));
  assert.equal(response.headers['x-upstream'], '1, 2');
});

test('an upstream cannot set a header field of the proxy', async () => {
  const response = await call('/queue/v1/forge');
  assert.equal(response.status, 200);
  for (const name of Object.keys(FORGED)) assert.notEqual(response.headers.get(name), 'forged', name);
  assert.equal(response.headers.get('x-upstream'), '1, 2');
});

test('bodies, encodings and redirects are forwarded unchanged', async () => {
  const body = 'x'.repeat(3_000_000);
  assert.equal(await (await call('/queue/v1/echo', { method: 'PUT', body })).text(), body);
  assert.equal(await (await call('/queue/v1/gzip')).text(), 'packed');
  const redirect = await call('/queue/v1/redirect');
  assert.deepEqual([redirect.status, redirect.headers.get('location')], [303, 'https://elsewhere.example/']);
});

test('bodies stream in both directions', { timeout: 20_000 }, async () => {
  // The upstream responds to the first bytes while the client has more to send.
  const request = post(new URL('/queue/v1/events', base), { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  request.write('hello');
  const response = await new Promise((received, failed) => request.on('response', received).on('error', failed));
  const chunks = response.setEncoding('utf8')[Symbol.asyncIterator]();
  assert.equal((await chunks.next()).value, 'to hello');
  request.end('more');
  let rest = '';
  for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) rest += chunk;
  assert.equal(rest, 'to more');
});

test('a client that waits for a 100 (Continue), as curl does before large bodies, gets its response', { timeout: 20_000 }, async () => {
  const body = 'x'.repeat(2_000_000);
  const headers = { authorization: `Bearer ${token}`, expect: '100-continue', 'content-length': body.length };
  const request = post(new URL('/queue/v1/echo', base), { method: 'PUT', headers });
  const response = await new Promise((received, failed) => request.on('response', received).on('error', failed).end(body));
  let echoed = '';
  for await (const chunk of response.setEncoding('utf8')) echoed += chunk;
  assert.deepEqual([response.statusCode, echoed === body], [200, true], echoed.slice(0, 200));
});

test('POST /bewit signs a URL', async () => {
  const response = await call('/bewit', { method: 'POST', body: ' https://tc.example.com/x?a\n' });
  const signed = await response.text();
  assert.deepEqual([response.status, response.headers.get('location')], [303, signed]);
  const { clientId, expires } = verifyBewit(signed, lookup);
  assert.equal(clientId, 'tester');
  assert.ok(Math.abs(expires - Date.now() - 3600_000) < 10_000);
});

test('errors are those of the native proxy', async () => {
  for (const [path, init, status, code, message] of [
    ['/bewit', {}, 405, 'MethodNotAllowed', /^expected POST \/bewit, found GET$/],
    ['/bewit', { method: 'POST', body: 'nonsense' }, 400, 'InputError', /^the body of POST \/bewit is the URL to sign: expected an absolute URL that starts with http/],
    ['/bewit', { method: 'POST', body: new Uint8Array([255]) }, 400, 'InputError', /in UTF-8/],
    ['/bewit', { method: 'POST', body: 'x'.repeat(65_537) }, 413, 'InputTooLarge', /^expected a body of at most 65536 bytes/],
    ['/credentials', { method: 'PUT', body: '{}' }, 405, 'MethodNotAllowed', /secrets/],
    ['/api/queue/v1', {}, 404, 'ResourceNotFound', /^invalid \/api path: /],
    ['/queue', {}, 404, 'ResourceNotFound', /a service needs a version and a path/],
    ['/', {}, 404, 'ResourceNotFound', /"" is not the name of a service or host/],
  ]) {
    const response = await call(path, init);
    assert.equal(response.headers.get('x-taskcluster-proxy-perm-clientid'), 'tester');
    // workerd leaves out an empty Allow.
    assert.equal(response.headers.get('allow') ?? '', path === '/bewit' && status === 405 ? 'POST' : '');
    await assertError(response, status, code, message);
  }
});

test('temporary and restricted credentials are named in the response', async () => {
  const temporary = createTemporaryCredentials(tester, { scopes: ['a:"*"', 'b'], name: 'tester/edge' });
  const other = await start({
    TASKCLUSTER_CLIENT_ID: temporary.clientId,
    TASKCLUSTER_ACCESS_TOKEN: temporary.accessToken,
    TASKCLUSTER_CERTIFICATE: temporary.certificate,
    TASKCLUSTER_AUTHORIZED_SCOPES: '["b"]',
    PROXY_REVISION: 'abc',
  });
  const { headers } = await call('/queue/v1/x', {}, other);
  assert.equal(headers.get('x-taskcluster-proxy-temp-clientid'), 'tester/edge');
  assert.equal(headers.get('x-taskcluster-proxy-temp-scopes'), '["a:\\"*\\"","b"]');
  assert.equal(headers.get('x-taskcluster-authorized-scopes'), '["b"]');
  assert.equal(headers.get('x-taskcluster-proxy-revision'), 'abc');
  assert.deepEqual(received.at(-1).verified.scopes, ['b', 'assume:anonymous']);
  await other.dispose();
});

test('a clientId of more than 512 characters is not named in the response, as by the native proxy', async () => {
  for (const length of [512, 513]) {
    const clientId = 'tester/'.padEnd(length, 'x');
    const temporary = createTemporaryCredentials(tester, { scopes: ['a'], name: clientId });
    for (const [kind, bindings] of [
      ['perm', { TASKCLUSTER_CLIENT_ID: clientId }],
      ['temp', { TASKCLUSTER_CLIENT_ID: clientId, TASKCLUSTER_ACCESS_TOKEN: temporary.accessToken, TASKCLUSTER_CERTIFICATE: temporary.certificate }],
    ]) {
      const other = await start(bindings);
      const { headers } = await call('/queue/v1/x', {}, other);
      assert.equal(headers.get(`x-taskcluster-proxy-${kind}-clientid`), length > 512 ? null : clientId);
      assert.equal(headers.get('x-taskcluster-proxy-temp-scopes'), kind === 'temp' ? '["a"]' : null);
      await other.dispose();
    }
  }
});

test('a request whose scopes do not fit gets an error that explains it', async () => {
  const scopes = Array.from({ length: 300 }, (_, index) => `queue:route:index.${index}`);
  const other = await start({ TASKCLUSTER_AUTHORIZED_SCOPES: JSON.stringify(scopes) });
  await assertError(await call('/queue/v1/x', {}, other), 400, 'AuthorizationTooLong', /use fewer scopes/);
  await other.dispose();
});

const MANY_SCOPES = Array.from({ length: 1000 }, (_, index) => `test:scope-of-some-length:${index}`);
const ownLength = (headers) =>
  [...headers].filter(([name]) => name.startsWith('x-taskcluster-')).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);

test('the authorized scopes in the response are those that requests are signed with', async () => {
  const other = await start({ TASKCLUSTER_AUTHORIZED_SCOPES: JSON.stringify(['test:*', ...MANY_SCOPES]) });
  for (const length of [1, 10_000]) {
    const { status, headers } = await call(`/queue/v1/${'x'.repeat(length)}`, {}, other);
    assert.equal(status, 200);
    assert.equal(headers.get('x-taskcluster-authorized-scopes'), '["test:*"]');
    assert.equal(headers.has('x-taskcluster-endpoint'), length === 1);
    assert.ok(ownLength(headers) < 8 * 1024, `${ownLength(headers)} bytes`);
  }
  assert.deepEqual(received.at(-1).verified.scopes, ['test:*', 'assume:anonymous']);
  await other.dispose();
});

test('errors do not list the authorized scopes, and count the scopes of a certificate with many of them', async () => {
  const temporary = createTemporaryCredentials(tester, { scopes: MANY_SCOPES, name: 'tester/edge' });
  const other = await start({
    TASKCLUSTER_CLIENT_ID: temporary.clientId,
    TASKCLUSTER_ACCESS_TOKEN: temporary.accessToken,
    TASKCLUSTER_CERTIFICATE: temporary.certificate,
    TASKCLUSTER_AUTHORIZED_SCOPES: '["test:a"]',
  });
  const response = await call('/queue/v1/x', {}, other);
  const { headers } = response;
  for (const name of ['authorized-scopes', 'authorized-scopes-count', 'proxy-temp-scopes']) {
    assert.equal(headers.get(`x-taskcluster-${name}`), null, name);
  }
  assert.equal(headers.get('x-taskcluster-proxy-temp-scopes-count'), '1000; listed in the binding TASKCLUSTER_CERTIFICATE');
  assert.ok(ownLength(headers) < 8 * 1024, `${ownLength(headers)} bytes`);
  await assertError(response, 400, 'AuthorizationTooLong', /use fewer scopes/);
  await other.dispose();
});
