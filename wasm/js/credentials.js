// Credentials: checks those of the caller, and keeps signers for the ones that were used last.
import { input, kind, member, members, object, scopes, text } from './check.js';
import { hawk } from './module.js';
import { shown } from './options.js';
import { HawkError } from './shapes.js';

/** How many credentials stay prepared. The others are wiped from the module's memory. */
const KEPT = 8;
const kept = [];
/** In milliseconds: the clock skew that the services tolerate when they check a certificate. */
const CLOCK_SKEW = 5 * 60 * 1000;

const NO_EXPIRY = 'expected no expiry: temporary credentials have it in their certificate';
/** Members that credentials have in other libraries, and what to write instead. */
const ELSEWHERE = {
  __proto__: null,
  id: 'expected clientId',
  key: 'expected accessToken',
  algorithm: 'expected no algorithm: it is always SHA-256',
  expiry: NO_EXPIRY,
  expires: NO_EXPIRY,
};
const CREDENTIALS = {
  ...ELSEWHERE,
  __proto__: null,
  scopes: 'expected authorizedScopes',
  clientId: true, accessToken: true, certificate: true, authorizedScopes: true,
};
const CLIENT = {
  ...ELSEWHERE,
  __proto__: null,
  clientId: true, accessToken: true, scopes: true,
  certificate: false, authorizedScopes: false,
};

/**
 * A signer for the credentials. To make one takes longer than to sign, so it is kept for the next call with the same
 * content; the object itself may have changed since. Read the other arguments first: their getters may sign as well,
 * which may free the signer that is returned here.
 */
export function prepared(credentials, name, now) {
  members(object(credentials, name), CREDENTIALS, name);
  const clientId = member(credentials, 'clientId', name);
  const accessToken = member(credentials, 'accessToken', name);
  const certificate = certificateText(member(credentials, 'certificate', name), name);
  const scopesGiven = member(credentials, 'authorizedScopes', name) ?? undefined;
  const authorizedScopes = scopesGiven === undefined ? undefined : scopes(scopesGiven, `${name}.authorizedScopes`);
  for (const entry of kept) {
    if (
      entry.clientId === clientId &&
      entry.accessToken === accessToken &&
      entry.certificate === certificate &&
      entry.authorizedScopes === authorizedScopes
    ) {
      return valid(entry, name, now);
    }
  }
  text(clientId, `${name}.clientId`);
  token(accessToken, `${name}.accessToken`);
  const handle = prepare(clientId, accessToken, certificate, authorizedScopes, name);
  const expiry = certificate === '' ? Infinity : JSON.parse(certificate).expiry;
  kept.unshift({ clientId, accessToken, certificate, authorizedScopes, handle, expiry });
  kept.splice(KEPT).forEach((entry) => entry.handle.free());
  return valid(kept[0], name, now);
}

function valid({ handle, expiry }, name, now) {
  if (expiry + CLOCK_SKEW < now) throw input(`expected a certificate that is valid, found one that expired at ${shown(expiry)}`, `${name}.certificate`);
  return handle;
}

/** An accessToken. One with a line break at its end, from a file or a variable, would make signatures that no service accepts. */
function token(value, name) {
  if (/^\s|\s$/.test(text(value, name))) throw input('expected no white space at its start or end, found some', name);
  return value;
}

/** The accessToken and the scopes of the client that `credentialsFor` returned; `undefined` if it is not the claimant. */
export function client(found, claimant) {
  const name = 'credentialsFor(..)';
  if (found === null || found === undefined) return undefined;
  object(found, name);
  if (typeof member(found, 'then', name) === 'function') {
    throw new TypeError(`${name}: expected credentials, found a promise: look them up beforehand`);
  }
  members(found, CLIENT, name);
  if (member(found, 'certificate', name) || member(found, 'authorizedScopes', name)) {
    throw input('expected permanent credentials of this clientId, without certificate and authorizedScopes', name);
  }
  // A lookup that ignores its argument must not let one client pass for another.
  if (text(member(found, 'clientId', name), `${name}.clientId`) !== claimant) return undefined;
  return {
    accessToken: token(member(found, 'accessToken', name), `${name}.accessToken`),
    scopes: scopes(member(found, 'scopes', name) ?? [], `${name}.scopes`),
  };
}

function prepare(clientId, accessToken, certificate, authorizedScopes, name) {
  const { Credentials } = hawk();
  try {
    return new Credentials(clientId, accessToken, certificate, authorizedScopes);
  } catch (error) {
    throw error instanceof HawkError ? new HawkError(error.code, error.reason, `${name}.${error.argument}`) : error;
  }
}

/** The certificate as JSON; an empty text if there is none. */
function certificateText(value, owner) {
  if (value === undefined || value === null) return '';
  const name = `${owner}.certificate`;
  if (typeof value === 'string') return text(value, name);
  if (typeof value !== 'object') throw new TypeError(`${name}: expected a string or an object, found ${kind(value)}`);
  let json;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`${name}: cannot be written as JSON`, { cause });
  }
  return text(json, name);
}
