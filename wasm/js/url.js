import { input, isA, member, text } from './check.js';
import { hawk } from './module.js';

/** The URL as `fetch` sends it, without the fragment, which it does not send. */
export function asSent(value, name) {
  const given = text(isUrl(value, name) ? member(value, 'href', name) : value, name);
  let url;
  try {
    url = new URL(given).href;
  } catch {
    throw explained(given, name);
  }
  const fragment = url.indexOf('#');
  return fragment < 0 ? url : url.slice(0, fragment);
}

/** A `URL` of another realm as well. */
function isUrl(value, name) {
  if (typeof value !== 'object' || value === null) return false;
  return isA(value, URL) || member(value, Symbol.toStringTag, name) === 'URL';
}

/** Core says better than `URL` what is wrong. */
function explained(given, name) {
  try {
    hawk().inspect('GET', given);
  } catch (error) {
    if (error.argument === 'url') return input(error.reason, name);
  }
  return input('not a URL', name);
}
