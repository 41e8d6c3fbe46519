// Reads and checks the bindings of the worker. With an invalid one nothing is served, and no error shows a value.
import { HawkError, bewit, route } from 'taskcluster-hawk';
import { ProxyError } from './errors.js';

/** In characters. Shorter tokens can be guessed, and so can the text that a template writes for a missing value. */
const MIN_TOKEN = 16;

export function bearerToken(env) {
  const token = required(env, 'PROXY_BEARER_TOKEN', 'without it this worker would sign for anyone');
  // RFC 6750 section 2.1.
  if (token.length < MIN_TOKEN || !/^[\w.~+/-]+=*$/.test(token)) {
    const expected = `a token of at least ${MIN_TOKEN} letters, digits and -._~+/, such as the output of: openssl rand -hex 32`;
    throw invalid('PROXY_BEARER_TOKEN', expected, 'another text');
  }
  return token;
}

export function configuration(env) {
  const rootUrl = required(env, 'TASKCLUSTER_ROOT_URL', 'the URL of the deployment');
  const credentials = {
    clientId: required(env, 'TASKCLUSTER_CLIENT_ID', 'the client that signs'),
    accessToken: required(env, 'TASKCLUSTER_ACCESS_TOKEN', 'the secret that signs'),
    certificate: optional(env, 'TASKCLUSTER_CERTIFICATE'),
    authorizedScopes: authorizedScopes(env),
  };
  check(() => route('/bewit', rootUrl), () => 'TASKCLUSTER_ROOT_URL');
  check(() => bewit('https://localhost/', credentials), variableOf);
  return { rootUrl, credentials, revision: revision(env) };
}

function required(env, name, purpose) {
  return optional(env, name) ?? fail(ProxyError.notConfigured(`${name} is not set: ${purpose}`));
}

/** The text of a binding; `null` if it is missing or empty. */
function optional(env, name) {
  const value = env[name];
  if (value === undefined || value === '') return null;
  if (typeof value !== 'string') throw invalid(name, 'a text', `a JSON value (${kind(value)})`);
  if (value === 'null' || value === 'undefined') {
    throw invalid(name, 'a value', `the text ${value}, which templates write for a missing one`);
  }
  if (value.trim() !== value) throw invalid(name, 'a text without white space around it', 'white space');
  return value;
}

/**
 * The array of scopes, as JSON text or as a binding of type JSON. Only without this variable there is no
 * restriction: an empty one, or `null`, was probably meant to restrict.
 */
function authorizedScopes(env) {
  const name = 'TASKCLUSTER_AUTHORIZED_SCOPES';
  const value = env[name];
  if (value === undefined) return null;
  const scopes = typeof value === 'string' ? parsed(value) : value;
  if (Array.isArray(scopes) && scopes.every((scope) => typeof scope === 'string')) return scopes;
  const expected = 'a JSON array of strings, [] for no scopes, or no variable of that name for no restriction';
  const found = Array.isArray(scopes) ? 'an array with something else in it' : value === '' ? 'an empty text' : kind(scopes);
  throw invalid(name, expected, found);
}

/** The value of a JSON text; `undefined` if it is not JSON. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function revision(env) {
  const value = optional(env, 'PROXY_REVISION') ?? 'unknown';
  if (!/^[!-~]+$/.test(value)) throw invalid('PROXY_REVISION', 'printable ASCII characters without spaces', 'others');
  return value;
}

function check(attempt, variable) {
  try {
    attempt();
  } catch (error) {
    // This depends on the request, too, and is reported in the response to it.
    if (error.code === 'AuthorizationTooLong') return;
    const reason = error instanceof HawkError ? error.reason : error.message;
    throw ProxyError.notConfigured(`${variable(error)}: ${reason}`);
  }
}

const VARIABLES = {
  'credentials.clientId': 'TASKCLUSTER_CLIENT_ID',
  'credentials.accessToken': 'TASKCLUSTER_ACCESS_TOKEN',
  'credentials.certificate': 'TASKCLUSTER_CERTIFICATE',
  'credentials.authorizedScopes': 'TASKCLUSTER_AUTHORIZED_SCOPES',
};

function variableOf({ argument }) {
  // Without the index of a scope.
  return VARIABLES[argument?.replace(/\[\d+\]$/, '')] ?? 'the credentials';
}

function invalid(name, expected, found) {
  return ProxyError.notConfigured(`${name}: expected ${expected}; found ${found}`);
}

function kind(value) {
  if (value === undefined) return 'a text that is not JSON';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

function fail(error) {
  throw error;
}
