// Tests of each function of the package.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as hawk from 'taskcluster-hawk';

const now = new Date('2026-01-01T00:00:00Z');
const tester = { clientId: 'tester', accessToken: 'no-secret' };
const credentialsFor = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : null);
const refused = (code, message) => ({ name: 'HawkError', code, message });

describe('bewit', () => {
  test('is valid for an hour by default, otherwise as the options say', () => {
    const expires = (options) => hawk.inspect(hawk.bewit('https://tc.example.com/x', tester, options)).expires;
    assert.equal(expires({ now }) - now, 3600_000);
    assert.equal(expires({ now, expiresIn: 1.5 }) - now, 1000);
    assert.deepEqual(expires({ now: new Date(now - 1000), expires: now }), now);
    assert.ok(Math.abs(expires() - Date.now() - 3600_000) < 5000);
  });

  test('signs and returns the URL that fetch sends', () => {
    for (const [url, sent] of [
      ['HTTPS://TC.example.com:443', 'https://tc.example.com/'],
      [new URL('https://tc.example.com/a/../b#fragment'), 'https://tc.example.com/b'],
      ["https://tc.example.com/{é}?q='a b'|", 'https://tc.example.com/%7B%C3%A9%7D?q=%27a%20b%27|'],
      [' https://bücher.example/ ', 'https://xn--bcher-kva.example/'],
      ['https://[::1]:8080/?', 'https://[::1]:8080/?'],
      ['http://127.1/%2E%2e/x?', 'http://127.0.0.1/x?'],
    ]) {
      const signed = hawk.bewit(url, tester, { now });
      assert.ok(signed.startsWith(sent), signed);
      assert.equal(new URL(signed).href, signed);
      assert.equal(hawk.verifyBewit(signed, credentialsFor, { now }).clientId, 'tester');
    }
  });

  test('explains why a URL is invalid', () => {
    for (const [url, message] of [
      ['', 'url: expected an absolute http:// or https:// URL, found nothing'],
      ['/x', 'url: expected an absolute URL that starts with http:// or https://, found no scheme'],
      ['mailto:a', 'url: expected an absolute URL that starts with http:// or https://, found another scheme, or none'],
      ['ftp://h/x', 'url: expected an absolute URL that starts with http:// or https://, found ftp://'],
      ['https://u:p@h/x', 'url: a URL to be signed cannot carry a user name or password'],
      ['https://h:99999/', 'url: expected a host name or address after the scheme, and a port from 1 to 65535 or none, found something else'],
      ['http://h:0/', /^url: .* a port from 1 to 65535 or none/],
      ['https://a!b/', /^url: expected a host name or address/],
      ['https://', /^url: expected a host name or address/],
      [`https://h/${'x'.repeat(70_000)}`, 'url: expected a URL of at most 65534 bytes, found one of 70010'],
    ]) {
      assert.throws(() => hawk.bewit(url, tester), refused('InputError', message));
    }
  });

  test('rejects a URL that would be too long for the services, and says what to do', () => {
    const authorizedScopes = Array.from({ length: 200 }, (_, index) => `queue:route:index.project.${index}`);
    assert.throws(
      () => hawk.bewit('https://tc.example.com/x', { ...tester, authorizedScopes }),
      refused('AuthorizationTooLong', /services read at most 4096; \d+ of them are .* use fewer scopes/),
    );
    // It fits without the scopes that another one satisfies.
    hawk.bewit('https://tc.example.com/x', { ...tester, authorizedScopes: [...authorizedScopes, 'queue:*'] });
  });
});

describe('sign', () => {
  test('uses GET, the current time and a random nonce by default', () => {
    const claims = [1, 2].map(() => {
      const { url, headers } = hawk.sign({ url: 'https://tc.example.com/x' }, tester);
      return hawk.inspect({ url, ...headers });
    });
    assert.match(claims[0].normalizedString, /\nGET\n/);
    assert.ok(Math.abs(claims[0].ts - Date.now()) < 5000);
    assert.notEqual(claims[0].nonce, claims[1].nonce);
  });

  test('uses the current content of the credentials at each call', () => {
    const changing = { ...tester, authorizedScopes: ['a'] };
    const ext = () => {
      const { url, headers } = hawk.sign({ url: 'https://tc.example.com/x' }, changing);
      return hawk.inspect({ url, ...headers }).ext;
    };
    assert.deepEqual(ext(), { authorizedScopes: ['a'] });
    changing.authorizedScopes[0] = 'b';
    assert.deepEqual(ext(), { authorizedScopes: ['b'] });
    changing.authorizedScopes = [];
    assert.deepEqual(ext(), { authorizedScopes: [] });
    changing.authorizedScopes = null;
    assert.equal(ext(), null);
  });

  test('signs with each of many credentials in turn', () => {
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 20; index += 1) {
        const credentials = { clientId: `client-${index}`, accessToken: `token-${index}` };
        const signed = hawk.bewit('https://tc.example.com/x', credentials, { now });
        const verified = hawk.verifyBewit(signed, () => credentials, { now });
        assert.equal(verified.clientId, credentials.clientId);
      }
    }
  });
});

describe('signRequest', () => {
  test('signs the URL that is sent, and keeps the header fields and the body', async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('streamed'));
        controller.close();
      },
    });
    const headers = { 'content-type': 'text/plain', authorization: 'of another' };
    const request = new Request("https://tc.example.com/a|b/'", { method: 'POST', headers, body, duplex: 'half' });
    const signed = hawk.signRequest(request, tester);
    assert.equal(signed.url, "https://tc.example.com/a|b/'");
    assert.equal(signed.method, 'POST');
    assert.equal(signed.headers.get('content-type'), 'text/plain');
    const authorization = signed.headers.get('authorization');
    const received = { method: 'POST', url: signed.url, authorization };
    assert.equal(hawk.verifyHeader(received, credentialsFor).clientId, 'tester');
    assert.equal(await signed.text(), 'streamed');
  });

  test('rejects a Request whose body has been used', async () => {
    const request = new Request('https://tc.example.com/x', { method: 'POST', body: 'x' });
    await request.text();
    assert.throws(() => hawk.signRequest(request, tester), TypeError('request: its body has been used'));
  });
});

describe('createTemporaryCredentials', () => {
  test('makes credentials that are valid, within their scopes', () => {
    const temporary = hawk.createTemporaryCredentials(tester, { scopes: ['a:*'], name: 'tester/x', now });
    for (const certificate of [temporary.certificate, JSON.parse(temporary.certificate)]) {
      const credentials = { ...temporary, certificate, authorizedScopes: ['a:b'] };
      const signed = hawk.bewit('https://tc.example.com/x', credentials, { now });
      const verified = hawk.verifyBewit(signed, credentialsFor, { now });
      assert.equal(verified.clientId, 'tester/x');
      assert.deepEqual(verified.scopes, ['a:b', 'assume:anonymous']);
      assert.equal(verified.expires - now, 3600_000);
    }
  });

  test('makes a new seed each time: two v4 slugids', () => {
    const seeds = [1, 2].map(() => JSON.parse(hawk.createTemporaryCredentials(tester, { scopes: [] }).certificate).seed);
    assert.notEqual(seeds[0], seeds[1]);
    assert.match(seeds[0], /^([\w-]{8}[Q-T][\w-][CGKOSWaeimquy26-][\w-]{10}[AQgw]){2}$/);
  });

  test('rejects credentials that the services would reject', () => {
    const temporary = hawk.createTemporaryCredentials(tester, { scopes: [] });
    for (const [issuer, options, message] of [
      [temporary, {}, /^issuer: temporary credentials cannot issue/],
      [tester, { name: 'tester' }, /^options.name: expected a name that differs/],
      [tester, { seed: 'short' }, /^options.seed: expected a seed of 44/],
      [tester, { expires: new Date(Date.now() + 32 * 86400_000) }, /^options.expires: expected an expiry at most 31 days/],
      [tester, { start: new Date(now - -2000), expires: new Date(now - -1000), now }, /^options.expires: expected an expiry after the start/],
      [tester, { scopes: ['é'] }, /^options.scopes: expected a scope of printable ASCII/],
    ]) {
      const make = () => hawk.createTemporaryCredentials(issuer, { scopes: [], ...options });
      assert.throws(make, refused('InputError', message));
    }
  });
});

describe('verification', () => {
  const url = hawk.bewit('https://tc.example.com/x', tester, { now });

  test('fails with the messages of the services', () => {
    const { headers } = hawk.sign({ url: 'https://tc.example.com/x' }, tester, { now });
    for (const [check, message] of [
      [() => hawk.verifyBewit(url.replace('/x', '/y'), credentialsFor, { now }), 'Unauthorized: Bad mac'],
      [() => hawk.verifyBewit(url, credentialsFor, { now: new Date(now.getTime() + 3600_000) }), 'Unauthorized: Access expired'],
      [() => hawk.verifyBewit(url, () => null, { now }), 'Unauthorized: Unknown credentials'],
      [() => hawk.verifyBewit('https://tc.example.com/x?bewit=x', credentialsFor), /^Bad Request: Invalid bewit/],
      [() => hawk.verifyHeader({ url, authorization: headers.authorization }, credentialsFor), 'Cannot use two authentication schemes at once'],
      [() => hawk.verifyHeader({ url: 'https://tc.example.com/x', authorization: 'Hawk' }, credentialsFor), /^Bad Request: /],
    ]) {
      assert.throws(check, refused('AuthenticationFailed', message));
    }
    assert.throws(() => hawk.verifyBewit('https://tc.example.com/x', credentialsFor), refused('InputError', /^url: .* without a bewit/));
  });

  test('rejects a lookup that returns another client', () => {
    const careless = () => ({ clientId: 'root', accessToken: 'no-secret', scopes: ['*'] });
    assert.throws(() => hawk.verifyBewit(url, careless, { now }), refused('AuthenticationFailed', /Unknown credentials/));
  });

  test('grants no scopes by default, and requires permanent credentials, not a promise', () => {
    assert.deepEqual(hawk.verifyBewit(url, () => tester, { now }).scopes, ['assume:anonymous']);
    assert.throws(() => hawk.verifyBewit(url, async () => tester, { now }), /^TypeError: credentialsFor\(\.\.\): .* promise/);
    const restricted = () => ({ ...tester, authorizedScopes: [] });
    assert.throws(() => hawk.verifyBewit(url, restricted, { now }), refused('InputError', /permanent credentials/));
  });

  test('throws the exception of a lookup', () => {
    const broken = () => {
      throw new RangeError('of the lookup');
    };
    assert.throws(() => hawk.verifyBewit(url, broken, { now }), RangeError('of the lookup'));
  });
});

test('satisfies and reduceScopes compare scopes', () => {
  assert.equal(hawk.satisfies(['a:*', 'b'], ['a:c', 'b']), true);
  assert.equal(hawk.satisfies(['a:*'], 'b'), false);
  assert.equal(hawk.satisfies([], []), true);
  assert.deepEqual(hawk.reduceScopes(['a:b', 'c', 'a:*', 'c']), ['c', 'a:*']);
});

test('route returns the URL that the proxy would forward to', () => {
  assert.deepEqual(hawk.route('/bewit?x', 'https://tc.example.com'), { kind: 'bewit' });
  assert.deepEqual(hawk.route('/credentials', new URL('https://tc.example.com/')), { kind: 'credentials' });
  assert.deepEqual(hawk.route('/queue/v1/x', 'https://TC.example.com/deep/'), { kind: 'api', url: 'https://tc.example.com/deep/api/queue/v1/x' });
  assert.deepEqual(hawk.route('/a.example.com?x', 'https://tc.example.com'), { kind: 'host', url: 'https://a.example.com/?x' });
  assert.throws(() => hawk.route('/x', 'https://tc.example.com/?q'), refused('InputError', /^rootUrl: .* with a query/));
});

test('forwardedHeaders leaves out hop-by-hop fields and those that the proxy sets', () => {
  const given = { accept: 'a', authorization: 'b', connection: 'X-Hop , content-length,', 'x-hop': 'c', te: 'd', host: 'e', expect: '100-continue', 'content-length': '1', 'x-taskcluster-proxy-request-id': 'f' };
  const forwarded = (message) => [...hawk.forwardedHeaders(new Headers(given), message).keys()];
  assert.deepEqual(forwarded('request'), ['accept', 'content-length', 'x-taskcluster-proxy-request-id']);
  assert.deepEqual(forwarded('response'), ['accept', 'authorization', 'content-length']);
  const cookies = new Headers([['set-cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['keep-alive', 'x']]);
  assert.deepEqual([...hawk.forwardedHeaders(cookies, 'response')], [['set-cookie', 'a=1'], ['set-cookie', 'b=2']]);
  assert.throws(() => hawk.forwardedHeaders(given, 'request'), TypeError('headers: expected Headers of the fetch API'));
  assert.throws(() => hawk.forwardedHeaders(new Headers(), 'reply'), TypeError("message: expected 'request' or 'response'"));
});

test('inspect decodes the header of what sign and signRequest return, and of requests to a server of Node', () => {
  const url = 'https://tc.example.com/x';
  const signed = hawk.sign({ url }, tester, { now });
  const { authorization } = signed.headers;
  for (const headers of [signed.headers, new Headers(signed.headers), new Map([['authorization', authorization]])]) {
    assert.deepEqual(hawk.inspect({ url, headers }), hawk.inspect({ url, authorization }));
  }
  const { kind, clientId, normalizedString } = hawk.inspect(hawk.signRequest(new Request(url, { method: 'PUT' }), tester));
  assert.deepEqual([kind, clientId], ['header', 'tester']);
  assert.match(normalizedString, /\nPUT\n/);
  for (const headers of [undefined, null, {}, new Headers(), { other: 'x' }]) assert.equal(hawk.inspect({ url, headers }), null);
  assert.throws(() => hawk.inspect({ url, headers: { authorization: 1 } }), TypeError('request.authorization: expected a string, found a number'));
});

test('objects with the text of a URL are URLs', () => {
  const href = 'https://tc.example.com/x';
  assert.equal(hawk.bewit({ href }, tester, { now }), hawk.bewit(href, tester, { now }));
  assert.equal(hawk.sign({ url: { href } }, tester).url, href);
  assert.throws(() => hawk.bewit({ href: 1 }, tester), TypeError('url: expected a string, found an object'));
});

test('inspect decodes a signed URL', () => {
  assert.equal(hawk.inspect('https://tc.example.com/x'), null);
  const signed = hawk.bewit('https://tc.example.com/x', tester, { now });
  const { kind, clientId, normalizedString, ext } = hawk.inspect(signed);
  assert.deepEqual([kind, clientId, ext], ['bewit', 'tester', null]);
  assert.equal(normalizedString, 'hawk.1.bewit\n1767229200\n\nGET\n/x\ntc.example.com\n443\n\n\n');
});
