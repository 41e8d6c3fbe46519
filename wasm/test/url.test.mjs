// URLs that are signed without parsing them with `URL` are exactly as `URL` would return them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AS_SENT, asSent } from '../js/url.js';

/** The parts of a URL, according to `URL`. */
function byUrl(text) {
  const { href, protocol, hostname, host, port } = new URL(text);
  const whole = href.replace(/#.*/, '');
  const number = Number(port || (protocol === 'https:' ? 443 : 80));
  return { href: whole, host: hostname, port: number, resource: whole.slice(protocol.length + 2 + host.length) };
}

/** A generator of pseudorandom choices, the same in each run, so that failures can be repeated. */
function random(seed) {
  let state = seed;
  return (list) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return list[Math.floor((state / 2 ** 32) * list.length)];
  };
}

/** The pieces of ordinary URLs, picked as often as all the others together. */
const USUAL = { scheme: ['https://'], label: ['tc', 'example', 'com', 'a-b'], port: [''], path: ['/a', '/a%2Fb', '/a.b'], query: ['', '?a=b'], fragment: [''] };
const PIECES = {
  scheme: ['https://', 'http://', 'https://', 'HTTPS://', 'https:/', 'https:\\\\', ' https://'],
  label: ['tc', 'example', 'com', 'a-b', 'xn--bcher-kva', 'bücher', 'A', '1', '127', '0x7f', 'a1', '-a', 'a-', 'a--b', 'a_b', '', '%41', '[::1]', 'u@h', 'e\u0301'],
  port: ['', '', '', ':443', ':80', ':8080', ':0', ':'],
  path: ['/', '/a', '/a%2Fb', '/a%2fb', '/.', '/..', '/%2e', '/%2E%2e', '/.a', '/a.b', '/...', "/'", '/"', '/ ', '/|', '/{}', '/^', '/`', '/é', '/\\', '/;,@&=+$!*()~', '/a:b', '/%', '/%zz', '//', '/[', '/\t', '/a\n', '/<', '/>', '/\u007f'],
  query: ['', '', '?', '?a=b', "?'", '?a b', '?/..//%2e', '?é', '?%27', '?a?b', '?"', '?{|}', '?`^', '?[]', '?\\'],
  fragment: ['', '', '', '#', '#a'],
};

test('any combination of pieces', () => {
  const pick = random(Number(process.env.FUZZ_SEED ?? 1));
  const piece = (name) => pick(pick([USUAL, PIECES])[name]);
  let plain = 0;
  for (let round = 0; round < 100_000; round += 1) {
    const labels = Array.from({ length: pick([1, 2, 3]) }, () => piece('label'));
    const path = Array.from({ length: pick([0, 1, 2, 3]) }, () => piece('path')).join('');
    const text = piece('scheme') + labels.join('.') + piece('port') + path + piece('query') + piece('fragment');
    if (AS_SENT.test(text)) {
      plain += 1;
      assert.equal(new URL(text).href, text);
    }
    let parts;
    try {
      parts = asSent(text, 'url');
    } catch (error) {
      assert.equal(error.code, 'InputError', text);
      continue;
    }
    assert.deepEqual(parts, byUrl(text), text);
  }
  assert.ok(plain > 1000, `${plain} of them were plain`);
});

test('each character, in each place', () => {
  for (let code = 0; code < 0x250; code += 1) {
    const character = String.fromCharCode(code);
    for (const text of [
      `https://a${character}b.example/`, `https://a.${character}/`, `https://a.example${character}/`,
      `https://a.example/a${character}b`, `https://a.example/${character}`, `https://a.example/?a${character}b`,
    ]) {
      if (AS_SENT.test(text)) assert.equal(new URL(text).href, text);
    }
  }
});

test('the URLs of services are signed without `URL`', () => {
  for (const text of [
    'https://tc.example.com/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/public%2Fbuild%2Ftarget.zip',
    'https://firefox-ci-tc.services.mozilla.com/api/index/v1/task/gecko.v2.mozilla-central?continuationToken=1*a.b~',
    'http://taskcluster/',
  ]) {
    assert.ok(AS_SENT.test(text), text);
  }
});

test('a long URL that does not match at its end is rejected quickly', { timeout: 5000 }, () => {
  for (const text of [`https://a.example/${'a/'.repeat(500_000)}"`, `https://${'a.'.repeat(500_000)}"`, `https://${'a-'.repeat(500_000)}`, `https://a.example/${'a'.repeat(1_000_000)}"`]) {
    assert.ok(!AS_SENT.test(text));
  }
});
