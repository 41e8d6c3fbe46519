// Signs and verifies the vectors of fixtures/ with the package. It signs URLs as `URL` and fetch rewrite them, so signatures
// are compared with a vector's only if its URL is not rewritten.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as hawk from 'taskcluster-hawk';
import { credentialsFor, credentialsOf, fixtures } from './fixtures.mjs';

const asSent = (url) => new URL(url).href.split('#')[0];

for (const vector of fixtures('hawk-headers')) {
  test(`hawk-headers: ${vector.description}`, () => {
    const now = new Date(vector.ts * 1000);
    const { url, method, nonce } = vector;
    const signed = hawk.sign({ url, method }, credentialsOf(vector), { now, nonce });
    assert.equal(signed.url, asSent(url));
    const request = { url: signed.url, method, authorization: signed.headers.authorization };
    assert.equal(hawk.verifyHeader(request, credentialsFor, { now }).clientId, vector.clientId);
    const claim = hawk.inspect(request);
    assert.deepEqual(claim.ext, vector.ext_json);
    if (signed.url === url) {
      assert.equal(claim.normalizedString, vector.normalized_string);
      assert.equal(claim.mac, vector.mac);
      assert.equal(signed.headers.authorization, vector.header);
    }
    // The first second in which the services would reject it.
    const late = new Date(now.getTime() + 901_000);
    assert.throws(() => hawk.verifyHeader(request, credentialsFor, { now: late }), /Stale timestamp|expiry < now/);
  });
}

for (const vector of fixtures('bewits')) {
  test(`bewits: ${vector.description}`, () => {
    const expires = new Date(vector.expiry * 1000);
    const now = new Date(expires.getTime() - 1000);
    const signed = hawk.bewit(vector.url, credentialsOf(vector), { expires, now });
    assert.equal(hawk.verifyBewit(signed, credentialsFor, { now }).clientId, vector.clientId);
    assert.throws(() => hawk.verifyBewit(signed, credentialsFor, { now: expires }), /Access expired/);
    if (asSent(vector.url) === vector.url) {
      assert.equal(signed, vector.signed_url);
      assert.deepEqual(hawk.inspect(signed).ext, vector.ext_json);
    }
  });
}

for (const vector of fixtures('temporary-credentials')) {
  test(`temporary-credentials: ${vector.description}`, () => {
    const { clientId, accessToken, certificate } = hawk.createTemporaryCredentials(vector.issuer, {
      name: vector.name ?? undefined,
      scopes: vector.scopes,
      start: new Date(vector.start_ms),
      expires: new Date(vector.expiry_ms),
      now: new Date(vector.start_ms),
      seed: vector.seed,
    });
    assert.deepEqual({ clientId, accessToken, certificate: JSON.parse(certificate) }, vector.expected);
  });
}

for (const vector of fixtures('routes')) {
  test(`routes: ${vector.request_target}`, () => {
    const route = () => hawk.route(vector.request_target, 'http://tc.example.com');
    if (vector.upstream) assert.equal(route().url, vector.upstream);
    else assert.throws(route, { name: 'HawkError', code: 'ResourceNotFound' });
  });
}

test('most vectors are compared byte for byte', () => {
  const all = [...fixtures('hawk-headers'), ...fixtures('bewits')];
  const same = all.filter(({ url }) => asSent(url) === url);
  assert.ok(same.length > all.length / 2, `${same.length} of ${all.length}`);
});
