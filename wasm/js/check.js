// Checks arguments, which may be of any type: returns those that the wasm module accepts, and otherwise throws an error
// that names the argument and never shows a value.
import { HawkError } from './shapes.js';

/** In UTF-16 code units: the proxy's limit for credentials. */
const MAX_TEXT = 1024 * 1024;
const MAX_SCOPES = 16 * MAX_TEXT;
/** The maximum lifetime of temporary credentials. A bewit can be valid for longer if `expires` is given as a `Date`. */
const MAX_SECONDS = 31 * 24 * 60 * 60;

/** `object[key]`, which may be a getter, or a member of a JavaScript proxy, that throws. */
export function member(object, key, name) {
  try {
    return object[key];
  } catch (cause) {
    throw new TypeError(`${name}.${String(key)}: cannot be read`, { cause });
  }
}

export function object(value, name) {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    throw new TypeError(`${name}: expected an object, found ${kind(value)}`);
  }
  return value;
}

/**
 * Rejects members that have no effect, as the caller expected one. In `known`, `true` marks a member that has an effect,
 * `false` one that is checked elsewhere; a text says what to write instead of a member that another library has.
 */
export function members(value, known, name) {
  for (const key of keys(value, name)) {
    const meaning = known[key];
    if (typeof meaning === 'boolean' || member(value, key, name) === undefined) continue;
    throw new TypeError(`${name}.${key}: ${meaning ?? `expected ${names(known)}`}`);
  }
}

/** The members that have an effect. */
export function names(known) {
  const all = Object.keys(known).filter((key) => known[key] === true);
  return all.length > 1 ? `one of ${all.join(', ')}` : all[0];
}

/** The keys of an object that may be a JavaScript proxy. */
function keys(value, name) {
  try {
    return Object.keys(value);
  } catch (cause) {
    throw new TypeError(`${name}: its members cannot be read`, { cause });
  }
}

export function text(value, name) {
  if (typeof value !== 'string') {
    throw new TypeError(`${name}: expected a string, found ${kind(value)}`);
  }
  if (value.length > MAX_TEXT) {
    throw input(`expected at most ${MAX_TEXT} characters, found ${value.length}`, name);
  }
  if (!isWellFormed(value)) throw input('expected a well-formed string, found a lone surrogate', name);
  return value;
}

/** The scopes as JSON. */
export function scopes(value, name) {
  // The length of a JavaScript proxy may have any type.
  const end = isArray(value) ? member(value, 'length', name) : undefined;
  if (typeof end !== 'number') throw new TypeError(`${name}: expected an array of strings, found ${kind(value)}`);
  const texts = [];
  let length = 0;
  for (let index = 0; index < end; index += 1) {
    const scope = text(member(value, index, name), `${name}[${index}]`);
    length += scope.length + 3;
    if (length > MAX_SCOPES) throw input(`expected at most ${MAX_SCOPES} characters in all, found more`, name);
    texts.push(scope);
  }
  return JSON.stringify(texts);
}

/** A `Date` as milliseconds since the epoch. */
export function date(value, name) {
  let millis;
  try {
    // Accepts a Date of another realm, but no object that only has the same methods.
    millis = Date.prototype.getTime.call(value);
  } catch {
    throw new TypeError(`${name}: expected a Date, found ${kind(value)}`);
  }
  if (Number.isNaN(millis)) throw new TypeError(`${name}: expected a valid Date, found an invalid one`);
  if (millis < 0) throw input('expected a Date in or after 1970, found an earlier one', name);
  return millis;
}

/** A number of seconds as milliseconds. */
export function seconds(value, name) {
  if (typeof value !== 'number') {
    throw new TypeError(`${name}: expected a number of seconds, found ${kind(value)}`);
  }
  if (!(value >= 1)) throw input(`expected a number of seconds, at least 1, found ${value}`, name);
  if (value > MAX_SECONDS) {
    throw input(`expected at most ${MAX_SECONDS} seconds (31 days), found ${value}: give seconds, not milliseconds, or expires, a Date`, name);
  }
  return value * 1000;
}

export function callback(value, name) {
  if (typeof value !== 'function') throw new TypeError(`${name}: expected a function, found ${kind(value)}`);
  return value;
}

export function input(reason, name) {
  return new HawkError('InputError', reason, name);
}

/** The type of a value in words; never the value, which may be a secret. */
export function kind(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  const name = className(value);
  return name === 'Object' ? 'an object' : name === 'Array' ? 'an array' : `a ${name}`;
}

/** `Date`, `Map`, `URL` and so on, also of another realm; `Object` for objects of most classes, and if it cannot be read. */
export function className(value) {
  try {
    return Object.prototype.toString.call(value).slice('[object '.length, -1);
  } catch {
    return 'Object';
  }
}

/** `instanceof`; `false` where a JavaScript proxy throws at it. */
export function isA(value, type) {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** `Array.isArray`, which throws for a revoked JavaScript proxy. */
function isArray(value) {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

function isWellFormed(value) {
  return value.isWellFormed ? value.isWellFormed() : !/\p{Surrogate}/u.test(value);
}
