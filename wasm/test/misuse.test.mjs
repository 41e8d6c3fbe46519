// Arguments that would have no effect, or not the intended one, are errors that say what to write instead.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import * as hawk from 'taskcluster-hawk';

const now = new Date('2026-01-01T00:00:00Z');
const later = (seconds) => new Date(now.getTime() + seconds * 1000);
const DAY = 24 * 60 * 60;
const url = 'https://tc.example.com/x';
const tester = { clientId: 'tester', accessToken: 'no-secret' };
const lookup = (clientId) => (clientId === 'tester' ? { ...tester, scopes: ['*'] } : undefined);
const { bewit, sign, createTemporaryCredentials, verifyBewit } = hawk;
const temporary = (options) => createTemporaryCredentials(tester, { scopes: [], now, ...options });

describe('a member without an effect is a TypeError:', () => {
  for (const [what, call, message] of [
    ["hawk's ttlSec", () => bewit(url, tester, { ttlSec: 60 }), 'options.ttlSec: expected expiresIn, a number of seconds'],
    ["taskcluster-client's expiry", () => temporary({ expiry: later(60) }), 'options.expiry: expected expires, a Date, or expiresIn, a number of seconds'],
    ["taskcluster-client's clientId", () => temporary({ clientId: 'tester/x' }), 'options.clientId: expected name, the clientId of the temporary credentials'],
    ["taskcluster-client's credentials", () => temporary({ credentials: tester }), 'options.credentials: expected the credentials of the issuer as the first argument'],
    ['scopes among the options', () => bewit(url, tester, { authorizedScopes: [] }), 'options.authorizedScopes: expected it among the credentials'],
    ['a certificate among the options', () => sign({ url }, tester, { certificate: 'x' }), 'options.certificate: expected it among the credentials'],
    ['a misspelt option', () => bewit(url, tester, { expireIn: 60 }), 'options.expireIn: expected one of now, expires, expiresIn'],
    ['an option of every object', () => bewit(url, tester, { constructor: 1 }), 'options.constructor: expected one of now, expires, expiresIn'],
    ['an expiry of a header', () => sign({ url }, tester, { expiresIn: 60 }), /^options.expiresIn: expected no expiry: a signed request is valid/],
    ['an option of a check', () => verifyBewit(url, lookup, { clock: now }), 'options.clock: expected now'],
    ["hawk's id", () => bewit(url, { ...tester, id: 'x' }), 'credentials.id: expected clientId'],
    ["hawk's algorithm", () => bewit(url, { ...tester, algorithm: 'sha256' }), /^credentials.algorithm: .* always SHA-256/],
    ['an expiry of credentials', () => bewit(url, { ...tester, expiry: 1 }), /^credentials.expiry: .* in their certificate/],
    ['scopes of credentials', () => bewit(url, { ...tester, scopes: [] }), 'credentials.scopes: expected authorizedScopes'],
    ['a misspelt member', () => bewit(url, { ...tester, authorisedScopes: [] }), 'credentials.authorisedScopes: expected one of clientId, accessToken, certificate, authorizedScopes'],
    ['a member of the issuer', () => createTemporaryCredentials({ ...tester, scopes: [] }, { scopes: [] }), 'issuer.scopes: expected authorizedScopes'],
    ['an expiry of a client', () => verifyBewit(bewit(url, tester), () => ({ ...tester, expires: now })), /^credentialsFor\(\.\.\)\.expires: /],
    ['a misspelt member of a client', () => verifyBewit(bewit(url, tester), () => ({ ...tester, name: 'x' })), 'credentialsFor(..).name: expected one of clientId, accessToken, scopes'],
    ['a payload to sign', () => sign({ url, payload: '' }, tester), /^request.payload: payload hashes are not supported/],
    ['a payload among the options', () => sign({ url }, tester, { payload: 'x' }), /^options.payload: payload hashes are not supported/],
    ['a hash', () => sign({ url, hash: 'x' }, tester), /^request.hash: payload hashes are not supported/],
    ['a URL as a request', () => sign(new URL(`${url}#x`), tester), 'request: expected { url, method }, found a URL'],
  ]) {
    test(what, () => assert.throws(call, { name: 'TypeError', message }));
  }

  test('not if it is undefined', () => {
    bewit(url, { ...tester, id: undefined }, { ttlSec: undefined });
    sign({ url, payload: undefined }, tester);
  });

  test('also in credentials that have signed before', () => {
    bewit(url, tester);
    assert.throws(() => bewit(url, { ...tester, scopes: ['a'] }), /^TypeError: credentials.scopes/);
  });
});

describe('a value in place of the options is a TypeError:', () => {
  for (const [what, call, message] of [
    ['a Date', () => bewit(url, tester, later(60)), 'options: expected an object with one of now, expires, expiresIn, found a Date'],
    ['a Map', () => bewit(url, tester, new Map([['expiresIn', 60]])), /^options: .* found a Map$/],
    ['a function', () => bewit(url, tester, () => ({ expiresIn: 60 })), /^options: .* found a function$/],
    ['an array', () => bewit(url, tester, []), /^options: .* found an array$/],
    ['null', () => sign({ url }, tester, null), 'options: expected an object with one of now, nonce, found null'],
    ['a time', () => verifyBewit(bewit(url, tester), lookup, now), 'options: expected an object with now, found a Date'],
    ['nothing', () => createTemporaryCredentials(tester), /^options: .* found undefined$/],
  ]) {
    test(what, () => assert.throws(call, { name: 'TypeError', message }));
  }

  test('not an object of a class, of another realm, or without a prototype', () => {
    class Options {
      expiresIn = 60;
    }
    for (const options of [new Options(), runInNewContext('({ expiresIn: 60 })'), Object.assign(Object.create(null), { expiresIn: 60 })]) {
      bewit(url, tester, options);
    }
  });
});

describe('an implausible time is an InputError:', () => {
  for (const [what, call, message] of [
    ['a past expiry', () => bewit(url, tester, { expires: later(-1), now }), 'options.expires: expected an expiry after now, which is 2026-01-01T00:00:00.000Z, found 2025-12-31T23:59:59.000Z'],
    ['an expiry that is now', () => bewit(url, tester, { expires: now, now }), /^options.expires: expected an expiry after now/],
    ['temporary credentials that have expired', () => temporary({ expires: later(-1) }), /^options.expires: expected an expiry after now/],
    ['temporary credentials for a millisecond longer', () => temporary({ expires: later(31 * DAY + 0.001) }), /found one 2678401 seconds after it$/],
    ['a start of microseconds', () => temporary({ start: new Date(now.getTime() * 1000) }), /^options.start: expected an expiry within 100 years/],
    ['a start that is too long ago', () => temporary({ start: later(-2 * 3600) }), /^options.start: expected an expiry after now, .* found 2025-12-31T23:00:00.000Z$/],
    ['temporary credentials for longer than the services allow', () => temporary({ expires: later(31 * DAY + 1) }), 'options.expires: expected an expiry at most 31 days after the start, found one 2678401 seconds after it'],
    ['an hour in milliseconds', () => bewit(url, tester, { expiresIn: 3600_000 }), 'options.expiresIn: expected at most 2678400 seconds (31 days), found 3600000: give seconds, not milliseconds, or expires, a Date'],
    ['a moment in milliseconds', () => temporary({ expiresIn: later(3600).getTime() }), /^options.expiresIn: .* not milliseconds, or expires, a Date$/],
    ['a Date of microseconds', () => bewit(url, tester, { expires: new Date(now.getTime() * 1000), now }), 'options.expires: expected an expiry within 100 years, found +057971-02-25T00:00:00.000Z: a Date is made of milliseconds'],
    ['less than a second', () => bewit(url, tester, { expiresIn: 0.5 }), 'options.expiresIn: expected a number of seconds, at least 1, found 0.5'],
  ]) {
    test(what, () => assert.throws(call, { name: 'HawkError', code: 'InputError', message }));
  }

  test('the longest lifetimes are accepted', () => {
    assert.deepEqual(hawk.inspect(bewit(url, tester, { expires: later(99 * 365 * DAY), now })).expires, later(99 * 365 * DAY));
    assert.equal(JSON.parse(temporary({ expiresIn: 31 * DAY }).certificate).expiry, later(31 * DAY).getTime());
  });
});

test('an expired certificate is an error with its date', () => {
  const credentials = temporary({ expires: later(60) });
  const message = 'credentials.certificate: expected a certificate that is valid, found one that expired at 2026-01-01T00:01:00.000Z';
  for (const certificate of [credentials.certificate, JSON.parse(credentials.certificate)]) {
    const expired = { ...credentials, certificate };
    // The services, which tolerate 5 minutes of clock skew, still accept it.
    sign({ url }, expired, { now: later(360) });
    for (const call of [() => sign({ url }, expired, { now: later(360.001) }), () => bewit(url, expired), () => hawk.signRequest(new Request(url), expired)]) {
      assert.throws(call, { name: 'HawkError', code: 'InputError', argument: 'credentials.certificate', message });
    }
  }
});

test('an accessToken with white space around it is an error, as no service has one', () => {
  for (const accessToken of ['no-secret\n', 'no-secret\r\n', ' no-secret', 'no-secret ', '\u00a0no-secret', '\n']) {
    const message = 'credentials.accessToken: expected no white space at its start or end, found some';
    assert.throws(() => bewit(url, { ...tester, accessToken }), { name: 'HawkError', code: 'InputError', message });
    assert.throws(() => verifyBewit(bewit(url, tester), () => ({ ...tester, accessToken })), /^HawkError: credentialsFor\(\.\.\)\.accessToken: /);
  }
});

test('no claim has an Invalid Date, however late it is', () => {
  const valid = (date) => assert.ok(!Number.isNaN(date.getTime()), String(date));
  for (const seconds of ['8640000000001', '99999999999999', '18446744073709551615']) {
    const text = `tester\\${seconds}\\bWFj\\`;
    valid(hawk.inspect(`${url}?bewit=${btoa(text).replaceAll('=', '')}`).expires);
    valid(hawk.inspect({ url, authorization: `Hawk id="tester", ts="${seconds}", nonce="n", mac="m"` }).ts);
  }
});

test('verifyBewit never gives an Invalid Date', async () => {
  // Other software makes bewits that never expire.
  const { default: npmHawk } = await import('hawk');
  const theirs = { id: 'tester', key: 'no-secret', algorithm: 'sha256' };
  const forever = npmHawk.uri.getBewit(url, { credentials: theirs, ttlSec: 1e14 });
  assert.deepEqual(verifyBewit(`${url}?bewit=${forever}`, lookup).expires, new Date(8.64e15));
});

describe('a HawkError', () => {
  test('has an argument only if it is about one', () => {
    assert.throws(() => bewit('nonsense', tester), { argument: 'url' });
    assert.throws(() => hawk.route('/', url), (error) => error.code === 'ResourceNotFound' && !('argument' in error));
  });

  const required = createRequire(import.meta.url)('taskcluster-hawk');
  const thrownBy = ({ bewit: call }) => {
    try {
      return call('nonsense', tester);
    } catch (error) {
      return error;
    }
  };

  test('is recognised by the class of the other copy, of import and of require', () => {
    assert.notEqual(required.HawkError, hawk.HawkError);
    for (const { HawkError } of [hawk, required]) {
      for (const copy of [hawk, required]) assert.ok(thrownBy(copy) instanceof HawkError);
      for (const other of [new Error('x'), null, undefined, 'x', {}]) assert.ok(!(other instanceof HawkError));
      class Special extends HawkError {}
      assert.ok(!(thrownBy(hawk) instanceof Special));
      assert.ok(new Special('x', 'y') instanceof Special);
    }
  });
});
