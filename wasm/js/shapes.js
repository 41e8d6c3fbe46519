// Makes the objects that the package returns and the errors that it throws. Called from Rust (wasm/src).

/** Marks errors of every copy of this package: the one for `import` and the one for `require`. */
const BRAND = Symbol.for('taskcluster-hawk.HawkError');

/** Why an argument or a signature was rejected. The `code` is stable; the message names the argument. */
export class HawkError extends Error {
  constructor(code, reason, argument, options) {
    super(argument ? `${argument}: ${reason}` : reason, options);
    this.code = code;
    this.reason = reason;
    if (argument) this.argument = argument;
  }
}

// On the prototype, as members of the instance would be printed with every error.
HawkError.prototype.name = 'HawkError';
HawkError.prototype[BRAND] = true;

Object.defineProperty(HawkError, Symbol.hasInstance, {
  value(error) {
    // Classes that extend this one inherit this function, but keep the usual meaning of `instanceof`.
    return this === HawkError ? error?.[BRAND] === true : Function.prototype[Symbol.hasInstance].call(this, error);
  },
});

/** The latest time of a `Date`, in milliseconds since the epoch. */
const LAST = 8.64e15;

/** A time as a `Date`. A time in a received message may be later than any `Date`. */
export function dateOf(millis) {
  return new Date(Math.min(millis, LAST));
}

export function temporaryCredentials(clientId, accessToken, certificate, authorizedScopes) {
  const credentials = { clientId, accessToken, certificate };
  if (authorizedScopes !== undefined) credentials.authorizedScopes = JSON.parse(authorizedScopes);
  return credentials;
}

export function verified(clientId, scopes, expires, hash) {
  const shown = {
    clientId,
    scopes: JSON.parse(scopes),
    expires: expires === undefined ? null : dateOf(expires),
  };
  if (hash !== undefined) shown.hash = hash;
  return shown;
}

export function claim(isBewit, clientId, ts, nonce, mac, ext, normalizedString) {
  const when = dateOf(ts * 1000);
  return {
    ...(isBewit ? { kind: 'bewit', clientId, expires: when } : { kind: 'header', clientId, ts: when, nonce }),
    mac,
    ext: ext === undefined ? null : decoded(ext),
    normalizedString,
  };
}

export function route(kind, url) {
  return url === undefined ? { kind } : { kind, url };
}

/** The object that `ext` encodes; the text itself if it encodes none. */
function decoded(ext) {
  try {
    const bytes = Uint8Array.from(atob(ext), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return ext;
  }
}
