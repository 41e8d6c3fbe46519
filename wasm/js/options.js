// The options of the functions: their names, and the times in them.
import { className, date, input, kind, member, members, names, seconds } from './check.js';
import { dateOf } from './shapes.js';

/** In milliseconds. */
const DEFAULT_LIFETIME = 60 * 60 * 1000;
/** In milliseconds. A later `Date` was probably made from microseconds. */
const HUNDRED_YEARS = 100 * 366 * 24 * 60 * 60 * 1000;

const NO_HASH = 'payload hashes are not supported: services check none';
/** Options that other libraries have, and what to write instead. */
const ELSEWHERE = {
  __proto__: null,
  ttlSec: 'expected expiresIn, a number of seconds',
  expiry: 'expected expires, a Date, or expiresIn, a number of seconds',
  authorizedScopes: 'expected it among the credentials',
  certificate: 'expected it among the credentials',
  timestamp: 'expected now, a Date',
  localtimeOffsetMsec: 'expected now, a Date',
  ext: 'expected no ext: it is made of certificate and authorizedScopes',
  payload: NO_HASH,
  hash: NO_HASH,
  contentType: NO_HASH,
};
const NO_EXPIRY = 'expected no expiry: a signed request is valid for about 15 minutes';

export const OPTIONS = {
  bewit: { ...ELSEWHERE, __proto__: null, now: true, expires: true, expiresIn: true },
  sign: { ...ELSEWHERE, __proto__: null, ttlSec: NO_EXPIRY, expiry: NO_EXPIRY, expires: NO_EXPIRY, expiresIn: NO_EXPIRY, now: true, nonce: true },
  createTemporaryCredentials: {
    ...ELSEWHERE,
    __proto__: null,
    clientId: 'expected name, the clientId of the temporary credentials',
    credentials: 'expected the credentials of the issuer as the first argument',
    now: true, scopes: true, name: true, start: true, expires: true, expiresIn: true, seed: true,
  },
  verify: { ...ELSEWHERE, __proto__: null, now: true },
};

/** The default options, which most calls use. Without this special case they would cost a tenth of a signature's time. */
export const NONE = Object.freeze({});

/** Rejects options that the function does not have, and a value in their place, such as a `Date`, which has no members. */
export function options(given, known) {
  if (given === NONE) return;
  if (className(given) !== 'Object') throw new TypeError(`options: expected an object with ${names(known)}, found ${kind(given)}`);
  members(given, known, 'options');
}

/** `options.now`, by default the time of the call. */
export function moment(given) {
  if (given === NONE) return Date.now();
  const now = member(given, 'now', 'options');
  return now === undefined ? Date.now() : date(now, 'options.now');
}

/** When signatures and credentials that are valid from `start` expire. */
export function expiry(given, start, now) {
  if (given === NONE) return start + DEFAULT_LIFETIME;
  const expires = member(given, 'expires', 'options');
  const expiresIn = member(given, 'expiresIn', 'options');
  if (expires !== undefined && expiresIn !== undefined) throw new TypeError('options: expected expires or expiresIn, found both');
  const lifetime = expiresIn === undefined ? DEFAULT_LIFETIME : seconds(expiresIn, 'options.expiresIn');
  const end = expires === undefined ? start + lifetime : date(expires, 'options.expires');
  // Without `expires`, the start is wrong.
  const name = expires === undefined ? 'options.start' : 'options.expires';
  if (end <= now) {
    throw input(`expected an expiry after now, which is ${shown(now)}, found ${shown(end)}`, name);
  }
  if (end - now > HUNDRED_YEARS) {
    throw input(`expected an expiry within 100 years, found ${shown(end)}: a Date is made of milliseconds`, name);
  }
  return end;
}

/** A time in the format of messages. */
export function shown(millis) {
  return dateOf(millis).toISOString();
}
