// Interoperability in both directions with npm hawk, with which Taskcluster's auth service verifies requests, and with
// taskcluster-client.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import npmHawk from 'hawk';
import taskcluster from 'taskcluster-client';
import * as hawk from 'taskcluster-hawk';

const tester = { clientId: 'tester', accessToken: 'no-secret' };
const theirs = { id: 'tester', key: 'no-secret', algorithm: 'sha256' };
const lookup = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : null);
const URLS = [
  'https://tc.example.com/',
  'http://tc.example.com:8080/x?zeta=1&alpha=%2f&b=a+b&flag',
  'https://tc.example.com/api/queue/v1/task/A/runs/0/artifacts/public%2Fa%20b.zip;v=1',
  'https://tc.example.com/x?',
];

/** Verifies a request as a server with npm hawk does; returns the artifacts. */
async function checkedByHawk(method, url, authorization) {
  const { host, pathname, search } = new URL(url);
  const [hostname, port] = host.split(':');
  const request = {
    method,
    url: pathname + search + (url.endsWith('?') ? '?' : ''),
    headers: { host: hostname, authorization },
    connection: {},
  };
  const options = { port: port ?? (url.startsWith('https') ? 443 : 80) };
  const check = authorization === undefined ? npmHawk.uri.authenticate : npmHawk.server.authenticate;
  return (await check(request, () => theirs, options)).artifacts ?? true;
}

describe('npm hawk', () => {
  for (const url of URLS) {
    test(`accepts our signatures: ${url}`, async () => {
      const { headers } = hawk.sign({ url, method: 'POST' }, tester);
      assert.equal((await checkedByHawk('POST', url, headers.authorization)).id, 'tester');
      assert.ok(await checkedByHawk('GET', hawk.bewit(url, tester)));
    });

    test(`makes signatures that we accept: ${url}`, () => {
      const { header } = npmHawk.client.header(url, 'PUT', { credentials: theirs, ext: 'e30=', hash: 'aGFzaA==' });
      const verified = hawk.verifyHeader({ method: 'PUT', url, authorization: header }, lookup);
      assert.deepEqual([verified.clientId, verified.hash], ['tester', 'aGFzaA==']);
      const bewit = npmHawk.client.getBewit(url, { credentials: theirs, ttlSec: 60 });
      const signed = `${url}${url.includes('?') ? '&' : '?'}bewit=${bewit}`;
      assert.equal(hawk.verifyBewit(signed, lookup).clientId, 'tester');
    });
  }

  test('rejects a changed URL, and so do we', async () => {
    const signed = hawk.bewit('https://tc.example.com/x', tester).replace('/x?', '/y?');
    await assert.rejects(checkedByHawk('GET', signed), /Bad mac/);
    assert.throws(() => hawk.verifyBewit(signed, lookup), /Bad mac/);
  });
});

describe('taskcluster-client', () => {
  const start = new Date(Math.floor(Date.now() / 1000) * 1000);
  const expires = taskcluster.fromNow('1 hour', start);

  test('makes the same temporary credentials', () => {
    for (const name of [undefined, 'tester/named']) {
      const made = taskcluster.createTemporaryCredentials({
        clientId: name, start, expiry: expires, scopes: ['test:a', 'test:b:*'], credentials: tester,
      });
      const { seed } = JSON.parse(made.certificate);
      const ours = hawk.createTemporaryCredentials(tester, { name, start, expires, scopes: ['test:a', 'test:b:*'], seed });
      assert.equal(ours.clientId, made.clientId ?? 'tester');
      assert.equal(ours.accessToken, made.accessToken);
      assert.deepEqual(JSON.parse(ours.certificate), JSON.parse(made.certificate));
    }
  });

  describe('with a server that verifies with this package', () => {
    let server;
    let rootUrl;
    const verified = [];

    before(async () => {
      server = createServer((request, response) => {
        const url = rootUrl + request.url;
        const { authorization } = request.headers;
        try {
          verified.push(
            authorization === undefined
              ? hawk.verifyBewit(url, lookup)
              : hawk.verifyHeader({ method: request.method, url, authorization }, lookup),
          );
          response.setHeader('content-type', 'application/json').end('{"ok":true}');
        } catch ({ code, message }) {
          response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ code, message }));
        }
      });
      await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
      rootUrl = `http://127.0.0.1:${server.address().port}`;
    });

    after(() => server.close());

    const credentials = hawk.createTemporaryCredentials(tester, { scopes: ['test:*'], name: 'tester/x' });

    test('its requests are accepted', async () => {
      const queue = new taskcluster.Queue({ rootUrl, credentials, authorizedScopes: ['test:a'], retries: 0 });
      await queue.ping();
      const { clientId, scopes } = verified.pop();
      assert.deepEqual([clientId, scopes], ['tester/x', ['test:a', 'assume:anonymous']]);
    });

    test('its signed URLs are accepted', async () => {
      const queue = new taskcluster.Queue({ rootUrl, credentials });
      const signed = queue.buildSignedUrl(queue.getArtifact, 'Vx1TzQm4RkOa9LwYbD0cHg', 0, 'public/a b.zip');
      assert.equal((await fetch(signed)).status, 200);
      assert.equal(verified.pop().clientId, 'tester/x');
    });

    test('our signatures are accepted when fetch sends them', async () => {
      const url = `${rootUrl}/a/../{b}?q='x y'|`;
      const { url: sent, headers } = hawk.sign({ url, method: 'POST' }, credentials);
      assert.equal((await fetch(sent, { method: 'POST', headers, body: 'x' })).status, 200);
      assert.equal((await fetch(url, { method: 'POST', headers, body: 'x' })).status, 200);
      assert.equal((await fetch(hawk.bewit(url, credentials))).status, 200);
      const request = hawk.signRequest(new Request(url, { method: 'PUT', body: 'x' }), credentials);
      assert.equal((await fetch(request)).status, 200);
    });

    test('an invalid signature is rejected', async () => {
      const queue = new taskcluster.Queue({ rootUrl, credentials: { ...credentials, accessToken: 'wrong' }, retries: 0 });
      await assert.rejects(queue.ping(), /Bad mac/);
    });
  });
});
