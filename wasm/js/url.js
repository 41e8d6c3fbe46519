import { input, isA, member, text } from './check.js';

/**
 * The parts of the URL that `fetch` sends: what the module signs, and `href`, all of it without the fragment, which
 * is not sent.
 */
export function asSent(value, name) {
  const given = text(isUrl(value, name) ? member(value, 'href', name) : value, name);
  const url = parsed(given, name);
  const { protocol, host, hostname, port, hash } = url;
  const scheme = protocol === 'https:' || protocol === 'http:';
  if (!scheme) throw input(`${ABSOLUTE} that starts with http:// or https://, found ${host ? `${protocol}//` : 'no scheme'}`, name);
  if (url.username || url.password) throw input('a URL to be signed cannot carry a user name or password', name);
  if (port === '0') throw input(`expected ${PORT}, found 0`, name);
  const { href: whole } = url;
  // An empty fragment leaves its `#`, which can stand nowhere else.
  const end = hash ? whole.length - hash.length : whole.endsWith('#') ? whole.length - 1 : whole.length;
  const href = whole.slice(0, end);
  const resource = href.slice(protocol.length + 2 + host.length);
  return { href, host: hostname, port: port ? Number(port) : protocol === 'https:' ? 443 : 80, resource };
}

const ABSOLUTE = 'expected an absolute URL';
const PORT = 'a port from 1 to 65535';

/** A `URL` of another realm as well. */
function isUrl(value, name) {
  if (typeof value !== 'object' || value === null) return false;
  return isA(value, URL) || member(value, Symbol.toStringTag, name) === 'URL';
}

/** `URL` does not say what is wrong. */
function parsed(given, name) {
  if (!given.trim()) throw input('expected an absolute http:// or https:// URL, found nothing', name);
  try {
    return new URL(given);
  } catch {
    if (!/^\s*https?:/i.test(given)) throw input(`${ABSOLUTE} that starts with http:// or https://, found no scheme`, name);
    throw input(`expected a host name or address after the scheme, and ${PORT} if any, found something else`, name);
  }
}
