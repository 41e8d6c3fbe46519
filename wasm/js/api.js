// The package's functions, the same in every environment. index.d.ts documents them.
import { callback, date, input, isA, member, object, scopes, text } from './check.js';
import { client, prepared } from './credentials.js';
import { hawk } from './module.js';
import { NONE, OPTIONS, expiry, moment, options } from './options.js';
import { randomNonce, randomSeed } from './random.js';
import { asSent, isUrl } from './url.js';

export { HawkError } from './shapes.js';

export function bewit(url, credentials, given = NONE) {
  const { href, host, port, resource } = asSent(url, 'url');
  options(given, OPTIONS.bewit);
  const now = moment(given);
  const expires = expiry(given, now, now);
  const signer = prepared(credentials, 'credentials', now);
  return href + signer.bewit(host, port, resource, expires);
}

export function sign(request, credentials, given = NONE) {
  const { method, url } = requestParts(request);
  return { url: url.href, headers: { authorization: authorization(method, url, credentials, given) } };
}

export function signRequest(request, credentials, given = NONE) {
  if (typeof Request !== 'function' || !isA(request, Request)) {
    throw new TypeError('request: expected a Request of the fetch API');
  }
  const { method, url } = requestParts(request);
  const value = authorization(method, url, credentials, given);
  let signed;
  try {
    signed = new Request(request);
  } catch (cause) {
    throw new TypeError('request: its body has been used', { cause });
  }
  signed.headers.set('authorization', value);
  // Browsers silently leave it out of requests in the no-cors mode.
  if (signed.headers.get('authorization') !== value) {
    throw input('expected a Request that can carry an Authorization header, found one in the no-cors mode', 'request');
  }
  return signed;
}

export function createTemporaryCredentials(issuer, given) {
  object(issuer, 'issuer');
  options(given, OPTIONS.createTemporaryCredentials);
  const named = member(given, 'name', 'options') ?? undefined;
  const name = named === undefined ? undefined : text(named, 'options.name');
  const granted = scopes(member(given, 'scopes', 'options'), 'options.scopes');
  const now = moment(given);
  const begin = member(given, 'start', 'options');
  const start = begin === undefined ? now : date(begin, 'options.start');
  const expires = expiry(given, start, now);
  const seed = text(member(given, 'seed', 'options') ?? randomSeed(), 'options.seed');
  return prepared(issuer, 'issuer', now).issue(name, granted, start, expires, seed);
}

export function verifyBewit(url, credentialsFor, given = NONE) {
  const verified = verify('GET', asSent(url, 'url'), undefined, credentialsFor, given);
  if (verified === undefined) throw input('expected a signed URL, found one without a bewit', 'url');
  return verified;
}

export function verifyHeader(request, credentialsFor, given = NONE) {
  const { method, url } = requestParts(request);
  const value = text(member(request, 'authorization', 'request'), 'request.authorization');
  return verify(method, url, value, credentialsFor, given);
}

export function inspect(request) {
  if (typeof request === 'string' || isUrl(request, 'url')) return claim('GET', asSent(request, 'url'));
  const { method, url } = requestParts(request);
  const value = member(request, 'authorization', 'request') ?? headerOf(request) ?? undefined;
  return claim(method, url, value === undefined ? undefined : text(value, 'request.authorization'));
}

/** The `Authorization` header of a `Request`, of a request of Node's server, or of what `sign` returns. */
function headerOf(request) {
  const headers = member(request, 'headers', 'request') ?? {};
  try {
    return typeof headers.get === 'function' ? headers.get('authorization') : headers.authorization;
  } catch (cause) {
    throw new TypeError('request.headers: cannot be read', { cause });
  }
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

/** The method and the URL of a request, which may be a `Request` with further members. */
function requestParts(request) {
  object(request, 'request');
  if (isUrl(request, 'request')) throw new TypeError('request: expected { url, method }, found a URL');
  for (const key of ['payload', 'hash']) {
    if (member(request, key, 'request') !== undefined) throw new TypeError(`request.${key}: ${OPTIONS.sign[key]}`);
  }
  const url = asSent(member(request, 'url', 'request'), 'request.url');
  return { url, method: text(member(request, 'method', 'request') ?? 'GET', 'request.method') };
}

function authorization(method, { host, port, resource }, credentials, given) {
  options(given, OPTIONS.sign);
  const now = moment(given);
  const chosen = member(given, 'nonce', 'options');
  const nonce = chosen === undefined ? randomNonce() : text(chosen, 'options.nonce');
  const signer = prepared(credentials, 'credentials', now);
  return signer.authorization(method, host, port, resource, now, nonce);
}

function verify(method, { host, port, resource }, header, credentialsFor, given) {
  callback(credentialsFor, 'credentialsFor');
  options(given, OPTIONS.verify);
  const now = moment(given);
  const claimant = hawk().claimant(method, host, port, resource, header, now);
  if (claimant === undefined) return undefined;
  const found = client(credentialsFor(claimant), claimant);
  return hawk().verify(method, host, port, resource, header, now, found?.accessToken, found?.scopes ?? '[]');
}

function claim(method, { host, port, resource }, header) {
  return hawk().inspect(method, host, port, resource, header) ?? null;
}
