// What the wasm module gives out, as the package shows it. Called from Rust (wasm/src).

/** What errors of every copy of this package have: of the one for `import`, and of the one for `require`. */
const BRAND = Symbol.for('taskcluster-hawk.HawkError');

/** Why something was refused. Its `code` is stable; its message names the argument that is at fault. */
export class HawkError extends Error {
  constructor(code, reason, argument, options) {
    super(argument ? `${argument}: ${reason}` : reason, options);
    this.code = code;
    this.reason = reason;
    this.argument = argument || undefined;
  }
}

// Assigned here: on the instance they would be printed with every error.
HawkError.prototype.name = 'HawkError';
HawkError.prototype[BRAND] = true;

Object.defineProperty(HawkError, Symbol.hasInstance, {
  value(error) {
    // Classes that extend this one inherit the function, and not what it means.
    return this === HawkError ? error?.[BRAND] === true : Function.prototype[Symbol.hasInstance].call(this, error);
  },
});

/** In milliseconds since the epoch, the last moment that a `Date` can be. */
const LAST = 8.64e15;

/** What comes over the wire may be later than any `Date`. */
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

/** The object that an `ext` stands for, or the text itself where it is none. */
function decoded(ext) {
  try {
    const bytes = Uint8Array.from(atob(ext), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return ext;
  }
}
