// The package's functions, for every environment. index.d.ts documents them.
import { callback, date, input, isA, member, object, scopes, seconds, text } from './check.js';
import { client, prepared } from './credentials.js';
import { hawk } from './module.js';
import { randomNonce, randomSeed } from './random.js';
import { asSent } from './url.js';

export { HawkError } from './shapes.js';

/** In milliseconds. */
const DEFAULT_LIFETIME = 60 * 60 * 1000;
const NONE = Object.freeze({});

export function bewit(url, credentials, options = NONE) {
  const signed = asSent(url, 'url');
  const expires = expiry(options, moment(options, 'now'));
  return signed.href + prepared(credentials, 'credentials').bewit(signed.host, signed.port, signed.resource, expires);
}

export function sign(request, credentials, options = NONE) {
  object(request, 'request');
  const url = asSent(member(request, 'url', 'request'), 'request.url');
  const method = text(member(request, 'method', 'request') ?? 'GET', 'request.method');
  return { url: url.href, headers: { authorization: authorization(method, url, credentials, options) } };
}

export function signRequest(request, credentials, options = NONE) {
  if (typeof Request !== 'function' || !isA(request, Request)) {
    throw new TypeError('request: expected a Request of the fetch API');
  }
  const url = asSent(member(request, 'url', 'request'), 'request.url');
  const value = authorization(member(request, 'method', 'request'), url, credentials, options);
  let signed;
  try {
    signed = new Request(request);
  } catch (cause) {
    throw new TypeError('request: its body has been used', { cause });
  }
  signed.headers.set('authorization', value);
  // A browser leaves it out of requests in the no-cors mode, without a word.
  if (signed.headers.get('authorization') !== value) {
    throw input('expected a Request that can carry an Authorization header, found one in the no-cors mode', 'request');
  }
  return signed;
}

export function createTemporaryCredentials(issuer, options) {
  object(issuer, 'issuer');
  object(options, 'options');
  const given = member(options, 'name', 'options') ?? undefined;
  const name = given === undefined ? undefined : text(given, 'options.name');
  const granted = scopes(member(options, 'scopes', 'options'), 'options.scopes');
  const start = moment(options, 'start');
  const expires = expiry(options, start);
  const seed = text(member(options, 'seed', 'options') ?? randomSeed(), 'options.seed');
  return prepared(issuer, 'issuer').issue(name, granted, start, expires, seed);
}

export function verifyBewit(url, credentialsFor, options = NONE) {
  return (
    verify('GET', asSent(url, 'url'), undefined, credentialsFor, options) ??
    refuse(input('expected a signed URL, found one without a bewit', 'url'))
  );
}

export function verifyHeader(request, credentialsFor, options = NONE) {
  object(request, 'request');
  const method = text(member(request, 'method', 'request') ?? 'GET', 'request.method');
  const url = asSent(member(request, 'url', 'request'), 'request.url');
  const value = text(member(request, 'authorization', 'request'), 'request.authorization');
  return verify(method, url, value, credentialsFor, options);
}

export function inspect(request) {
  if (typeof request === 'string' || isA(request, URL)) {
    const { host, port, resource } = asSent(request, 'url');
    return hawk().inspect('GET', host, port, resource) ?? null;
  }
  object(request, 'request');
  const method = text(member(request, 'method', 'request') ?? 'GET', 'request.method');
  const { host, port, resource } = asSent(member(request, 'url', 'request'), 'request.url');
  const value = member(request, 'authorization', 'request') ?? undefined;
  const header = value === undefined ? undefined : text(value, 'request.authorization');
  return hawk().inspect(method, host, port, resource, header) ?? null;
}

export function satisfies(held, required) {
  const texts = scopes(held, 'scopes');
  const all = scopes(typeof required === 'string' ? [required] : required, 'required');
  return hawk().satisfies(texts, all);
}

export function reduceScopes(held) {
  return JSON.parse(hawk().reduceScopes(scopes(held, 'scopes')));
}

export function route(target, rootUrl) {
  const { href } = asSent(rootUrl, 'rootUrl');
  if (href.includes('?')) throw input('expected a root URL such as https://tc.example.com, found one with a query', 'rootUrl');
  return hawk().route(text(target, 'target'), href.replace(/\/+$/, ''));
}

export function forwardedHeaders(headers, message) {
  if (typeof Headers !== 'function' || !isA(headers, Headers)) throw new TypeError('headers: expected Headers of the fetch API');
  if (message !== 'request' && message !== 'response') throw new TypeError("message: expected 'request' or 'response'");
  const forwarded = new Headers(headers);
  const names = [...forwarded.keys()].join('\n');
  const dropped = hawk().notForwarded(names, forwarded.get('connection') ?? '', message === 'request');
  for (const name of dropped.split('\n')) if (name) forwarded.delete(name);
  return forwarded;
}

function authorization(method, { host, port, resource }, credentials, options) {
  const now = moment(options, 'now');
  const given = member(options, 'nonce', 'options');
  const nonce = given === undefined ? randomNonce() : text(given, 'options.nonce');
  return prepared(credentials, 'credentials').authorization(method, host, port, resource, now, nonce);
}

function verify(method, { host, port, resource }, header, credentialsFor, options) {
  callback(credentialsFor, 'credentialsFor');
  const now = moment(options, 'now');
  const claimant = hawk().claimant(method, host, port, resource, header, now);
  if (claimant === undefined) return undefined;
  const found = client(credentialsFor(claimant), claimant);
  return hawk().verify(method, host, port, resource, header, now, found?.accessToken, found?.scopes ?? '[]');
}

/** `options.now` or `options.start`, or else the clock, which is read at each call. */
function moment(options, key) {
  const given = member(object(options, 'options'), key, 'options');
  return given === undefined ? Date.now() : date(given, `options.${key}`);
}

function expiry(options, start) {
  const expires = member(options, 'expires', 'options');
  const expiresIn = member(options, 'expiresIn', 'options');
  if (expires === undefined) return start + (expiresIn === undefined ? DEFAULT_LIFETIME : seconds(expiresIn, 'options.expiresIn'));
  if (expiresIn !== undefined) throw new TypeError('options: expected expires or expiresIn, found both');
  return date(expires, 'options.expires');
}

function refuse(error) {
  throw error;
}
