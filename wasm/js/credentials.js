import { kind, member, object, scopes, text } from './check.js';
import { hawk } from './module.js';
import { HawkError } from './shapes.js';

/** How many credentials stay prepared. What falls out is wiped from the module's memory. */
const KEPT = 8;
const kept = [];

/**
 * The credentials, parsed and made ready to sign with. That takes longer than to sign, so it is kept
 * for the next call with the same content; the object itself may have changed since. Read the other
 * arguments before: their getters may sign too, and what is prepared here may then be freed.
 */
export function prepared(credentials, name) {
  object(credentials, name);
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
      return entry.handle;
    }
  }
  text(clientId, `${name}.clientId`);
  text(accessToken, `${name}.accessToken`);
  const handle = prepare(clientId, accessToken, certificate, authorizedScopes, name);
  kept.unshift({ clientId, accessToken, certificate, authorizedScopes, handle });
  kept.splice(KEPT).forEach((entry) => entry.handle.free());
  return handle;
}

/** Of a client that `credentialsFor` found: what its signatures are checked with. */
export function client(found, claimant) {
  const name = 'credentialsFor(..)';
  if (found === null || found === undefined) return undefined;
  object(found, name);
  if (typeof member(found, 'then', name) === 'function') {
    throw new TypeError(`${name}: expected credentials, found a promise: look them up beforehand`);
  }
  for (const key of ['certificate', 'authorizedScopes']) {
    if (member(found, key, name)) {
      const reason = 'expected the permanent credentials of the clientId asked for, without certificate and authorizedScopes';
      throw new HawkError('InputError', reason, name);
    }
  }
  // A lookup that ignores what it is asked for must not let one client pass for another.
  if (text(member(found, 'clientId', name), `${name}.clientId`) !== claimant) return undefined;
  return {
    accessToken: text(member(found, 'accessToken', name), `${name}.accessToken`),
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

/** The certificate as JSON; empty where there is none. */
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
