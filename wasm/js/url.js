// Parses URLs with the environment's own `URL`, as `fetch` does before it sends them.
import { input, member, text } from './check.js';

/** In characters: the proxy's limit. */
const MAX_URL = 65_534;

/**
 * The URL that `fetch` sends: the parts that the module signs, and `href`, the whole URL without the fragment, which is
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
 * Matches URLs that `URL` would not change: the host has no port, no label of digits and only ASCII letters; there are no
 * dot segments and no characters that would be encoded. Nearly all URLs match, and `URL` would take half as long as signing.
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
  // Not from `search`, which is empty for a `?` with nothing after it; the `?` is sent.
  const resource = href.slice(protocol.length + '//'.length + url.host.length);
  return { href, host: hostname, port, resource };
}

/** The characters of host names and addresses; `URL` accepts more. */
const HOST = /^[\w.-]+$|^\[/;
const AUTHORITY = 'expected a host name or address after the scheme, and a port from 1 to 65535 or none, found something else';

/** Whether the value is a `URL`, possibly of another realm, or another object with the text of one, such as a `Location`. */
export function isUrl(value, name) {
  return typeof value === 'object' && value !== null && typeof member(value, 'href', name) === 'string';
}

/** Explains a text that is not a URL. It may be a pasted secret: only a scheme is repeated. */
function unreadable(given) {
  const found = given.trim();
  if (found === '') return 'expected an absolute http:// or https:// URL, found nothing';
  if (/^https?:\/\//i.test(found)) return AUTHORITY;
  const other = /^[a-z][a-z\d+.-]*:/i.test(found) ? 'another scheme, or none' : 'no scheme';
  const [scheme = other] = /^[a-z][a-z\d+.-]{0,30}:\/\//i.exec(found) ?? [];
  return `expected an absolute URL that starts with http:// or https://, found ${scheme}`;
}
