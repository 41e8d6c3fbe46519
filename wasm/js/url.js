// URLs, by the environment's own `URL`, as `fetch` sends them.
import { input, isA, member, text } from './check.js';

/** In characters: the longest that the proxy takes. */
const MAX_URL = 65_534;

/**
 * The parts of the URL that `fetch` sends: what the module signs, and `href`, all of it without the fragment, which is
 * not sent.
 */
export function asSent(value, name) {
  const given = text(isUrl(value, name) ? member(value, 'href', name) : value, name);
  const url = AS_SENT.test(given) ? split(given) : parse(given, name);
  const { length } = url.href;
  if (length > MAX_URL) throw input(`expected a URL of at most ${MAX_URL} bytes, found one of ${length}`, name);
  return url;
}

/**
 * A URL that `URL` would leave as it is: a host without a port, numbers and other alphabets; no dot segments; no
 * characters that would be encoded. Nearly all are so, and `URL` takes as long as half of the signing.
 */
export const AS_SENT =
  /^https?:\/\/(?:[a-z][a-z\d]*(?:-[a-z\d]+)*\.)*[a-z][a-z\d]*(?:-[a-z\d]+)*(?:\/(?!\.|%2[Ee])[\w.~!$&()*+,:;=@%-]*)+(?:\?[\w.~!$&()*+,:;=@%/?-]*)?$/;

function split(href) {
  const isHttps = href[4] === 's';
  const start = isHttps ? 'https://'.length : 'http://'.length;
  const path = href.indexOf('/', start);
  return { href, host: href.slice(start, path), port: isHttps ? 443 : 80, resource: href.slice(path) };
}

function parse(given, name) {
  let url;
  try {
    url = new URL(given);
  } catch {
    throw input(unreadable(given), name);
  }
  const { protocol, hostname } = url;
  if (protocol !== 'https:' && protocol !== 'http:') throw input(unreadable(given), name);
  if (url.username !== '' || url.password !== '') throw input('a URL to be signed cannot carry a user name or password', name);
  const port = url.port === '' ? (protocol === 'https:' ? 443 : 80) : Number(url.port);
  if (!HOST.test(hostname) || port === 0) throw input(AUTHORITY, name);
  const href = url.href.split('#', 1)[0];
  // `search` is empty for a `?` with nothing behind it, which is sent.
  const resource = href.slice(protocol.length + '//'.length + url.host.length);
  return { href, host: hostname, port, resource };
}

/** The characters that the names and addresses of hosts have; `URL` takes more. */
const HOST = /^[\w.-]+$|^\[/;
const AUTHORITY = 'expected a host name or address after the scheme, and a port from 1 to 65535 or none, found something else';

/** A `URL` of another realm as well. */
function isUrl(value, name) {
  if (typeof value !== 'object' || value === null) return false;
  return isA(value, URL) || member(value, Symbol.toStringTag, name) === 'URL';
}

/** The text may be anything, a pasted secret included: only a scheme is repeated. */
function unreadable(given) {
  const found = given.trim();
  if (found === '') return 'expected an absolute http:// or https:// URL, found nothing';
  if (/^https?:\/\//i.test(found)) return AUTHORITY;
  const [scheme = 'no scheme'] = /^[a-z][a-z\d+.-]{0,30}:\/\//i.exec(found) ?? [];
  return `expected an absolute URL that starts with http:// or https://, found ${scheme}`;
}
