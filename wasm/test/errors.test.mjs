// For arguments of any type and value, errors are HawkErrors or TypeErrors that name the argument and contain no secret, and
// the module still works afterwards.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import * as hawk from 'taskcluster-hawk';
import { PACKAGE, run } from './tools.mjs';

const tester = { clientId: 'tester', accessToken: 'cAnArY' };
const url = 'https://tc.example.com/x';
const { headers } = hawk.sign({ url }, tester);
const signed = hawk.bewit(url, tester);
const lookup = () => ({ ...tester, scopes: ['*'] });

/** Each function with valid arguments, parts of which the tests replace. */
const CALLS = {
  bewit: [url, { ...tester, certificate: null, authorizedScopes: ['a'] }, { expiresIn: 1, now: new Date() }],
  sign: [{ url, method: 'GET' }, { ...tester }, { now: new Date(), nonce: 'n' }],
  signRequest: [new Request(url), { ...tester }, { now: new Date(), nonce: 'n' }],
  createTemporaryCredentials: [{ ...tester }, { scopes: ['a'], name: 'n', start: new Date(), expiresIn: 3600, seed: 's'.repeat(44) }],
  verifyBewit: [signed, lookup, { now: new Date() }],
  verifyHeader: [{ url, method: 'GET', ...headers }, lookup, { now: new Date() }],
  inspect: [{ url, method: 'GET', headers, ...headers }],
  satisfies: [['a'], ['a']],
  reduceScopes: [['a']],
  route: ['/queue/v1/x', 'https://tc.example.com'],
  forwardedHeaders: [new Headers({ connection: 'x' }), 'request'],
};

const NAMES = /^(url|request|credentials|credentialsFor|options|issuer|scopes|required|target|rootUrl|method|headers|message)\b/;
const WITHOUT_NAMES = new Set(['AuthenticationFailed', 'AuthorizationTooLong', 'ResourceNotFound']);

const cyclic = {};
cyclic.itself = cyclic;
const throwing = new Proxy({}, { get() { throw new RangeError('of a getter'); }, has() { throw new RangeError(); }, getPrototypeOf() { throw new RangeError(); } });
const revoked = Proxy.revocable([], {});
revoked.revoke();

const withLength = (length) => new Proxy([], { get: (_, key) => (key === 'length' ? length : 'x') });

const STRANGE = [
  undefined, null, true, false, 0, -0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 1e308, 10n, Symbol('s'),
  '', ' ', 'x', '\0', '\ud800', 'a\udc00b', '\u{10ffff}', '\n', '{', '{}', '[]', 'null', '{"version":1}', '%', '"', '\\',
  'x'.repeat(70_000), 'x'.repeat(2 ** 21), '\u{1f600}'.repeat(40_000), 'https://' + 'h'.repeat(70_000), '['.repeat(200_000),
  {}, [], [undefined], [[]], ['\ud800'], new Array(5), Array(2 ** 32 - 1), ['x'.repeat(2 ** 20 + 1)],
  cyclic, [cyclic], throwing, revoked.proxy, Object.create(null), { length: 3 }, withLength(Symbol('s')), withLength(throwing), withLength(Infinity), { then() {} }, { toJSON() { throw new RangeError('of toJSON'); } }, { toJSON() {} },
  { clientId: '\ud800', accessToken: 1 }, { ...tester, certificate: '{"version":1' }, { ...tester, certificate: cyclic },
  new Date(), new Date(NaN), new Date(-1), new Date(8.64e15), new URL('https://h/'), new URL('data:,x'), new Map(), new Uint8Array(3),
  () => {}, () => null, () => throwing, () => 'x', async () => null, Promise.resolve(), /x/, new Error('x'), new Request(url), Object.create(Request.prototype), Object.create(URL.prototype), Object.create(Date.prototype), globalThis,
  runInNewContext('new Date()'), runInNewContext('({})'), new String('x'), new Number(1),
];

/** A generator of pseudorandom numbers, the same in each run, so that failures can be repeated. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function assertNamed(call, what) {
  try {
    call();
  } catch (error) {
    const text = `${what}: ${error?.stack}`;
    assert.ok(error instanceof hawk.HawkError || error instanceof TypeError, text);
    assert.ok(NAMES.test(error.message) || WITHOUT_NAMES.has(error.code), text);
    assert.ok(!error.message.includes('cAnArY'), text);
  }
}

function assertWorks() {
  assert.equal(hawk.verifyBewit(hawk.bewit(url, tester), lookup).clientId, 'tester');
}

for (const [name, right] of Object.entries(CALLS)) {
  test(`${name}: each argument, and each member of it, of any type`, () => {
    for (const [position, argument] of right.entries()) {
      for (const strange of STRANGE) {
        assertNamed(() => hawk[name](...right.with(position, strange)), `argument ${position}`);
        const members = typeof argument === 'object' && !(argument instanceof Request) ? Object.keys(argument) : [];
        for (const member of members) {
          const changed = Array.isArray(argument) ? argument.with(member, strange) : { ...argument, [member]: strange };
          assertNamed(() => hawk[name](...right.with(position, changed)), `argument ${position}.${member}`);
        }
      }
    }
    assertWorks();
  });
}

test('any combination of strange values', () => {
  const pick = random(Number(process.env.FUZZ_SEED ?? 1));
  const names = Object.keys(CALLS);
  for (let round = 0; round < 3000; round += 1) {
    const name = names[pick(names.length)];
    const given = CALLS[name].map((argument) => {
      const strange = STRANGE[pick(STRANGE.length)];
      if (pick(3) === 0 || typeof argument !== 'object') return pick(2) === 0 ? strange : argument;
      const keys = Object.keys(argument);
      return { ...argument, [keys[pick(keys.length)] ?? 'now']: strange };
    });
    assertNamed(() => hawk[name](...given), `round ${round} of ${name}`);
    if (round % 500 === 0) assertWorks();
  }
  assertWorks();
});

test('getters may use the module themselves', () => {
  const busy = (value) => {
    // More credentials than stay prepared.
    for (let index = 0; index < 20; index += 1) hawk.bewit(url, { clientId: `client-${index}`, accessToken: 'x' });
    return value;
  };
  const reading = (target) => new Proxy(target, { get: (of, key) => busy(of[key]) });
  for (const [name, right] of Object.entries(CALLS)) {
    for (const [position, argument] of right.entries()) {
      if (typeof argument !== 'object' || argument instanceof Request) continue;
      hawk[name](...right.with(position, reading(argument)));
    }
  }
});

test('a lookup that returns a value of any type', () => {
  for (const strange of STRANGE) {
    assertNamed(() => hawk.verifyBewit(signed, () => strange), 'the lookup');
    for (const member of ['clientId', 'accessToken', 'scopes', 'certificate', 'authorizedScopes']) {
      assertNamed(() => hawk.verifyBewit(signed, () => ({ ...tester, [member]: strange })), member);
    }
  }
  assertWorks();
});

test('texts with one character changed, left out or doubled', () => {
  const certificate = hawk.createTemporaryCredentials(tester, { scopes: ['a'] }).certificate;
  const pick = random(7);
  const mutate = (text) => {
    const at = pick(text.length);
    const middle = ['', text[at] + text[at], String.fromCharCode(pick(256)), '\u{2028}', '%00'][pick(5)];
    return text.slice(0, at) + middle + text.slice(at + 1);
  };
  for (let round = 0; round < 3000; round += 1) {
    assertNamed(() => hawk.verifyBewit(mutate(signed), lookup), 'bewit');
    assertNamed(() => hawk.verifyHeader({ url, authorization: mutate(headers.authorization) }, lookup), 'header');
    assertNamed(() => hawk.bewit(mutate(url), { ...tester, certificate: mutate(certificate) }), 'certificate');
    assertNamed(() => hawk.route(mutate('/queue/v1/x?y'), mutate('https://tc.example.com')), 'route');
  }
  assertWorks();
});

test('a missing source of randomness is an error, only where one is needed', async () => {
  // In a process of its own, as this one has random bytes in store.
  const code = `
    Object.defineProperty(globalThis, 'crypto', { value: undefined });
    const hawk = await import('taskcluster-hawk');
    const tester = { clientId: 'tester', accessToken: 'no-secret' };
    const request = { url: 'https://tc.example.com/x' };
    const found = [];
    for (const call of [() => hawk.sign(request, tester), () => hawk.createTemporaryCredentials(tester, { scopes: [] })]) {
      try { call(); } catch ({ name, code, message }) { found.push([name, code, message]); }
    }
    hawk.sign(request, tester, { nonce: 'n' });
    hawk.bewit(request.url, tester);
    console.log(JSON.stringify(found));
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd: PACKAGE });
  for (const [name, errorCode, message] of JSON.parse(stdout)) {
    assert.deepEqual([name, errorCode], ['HawkError', 'RandomnessUnavailable']);
    assert.match(message, /crypto/);
  }
  assert.equal(JSON.parse(stdout).length, 2);
});
