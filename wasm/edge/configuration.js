import { bewit, route } from 'taskcluster-hawk';
import { ProxyError } from './errors.js';

export function bearerToken(env) {
  return required(env, 'PROXY_BEARER_TOKEN', 'without it this worker would sign for anyone');
}

/** The other bindings, checked: nothing is served with half of them. No error shows a value. */
export function configuration(env) {
  const rootUrl = required(env, 'TASKCLUSTER_ROOT_URL', 'where the services are');
  const credentials = {
    clientId: required(env, 'TASKCLUSTER_CLIENT_ID', 'who signs'),
    accessToken: required(env, 'TASKCLUSTER_ACCESS_TOKEN', 'a secret to sign with'),
    certificate: env.TASKCLUSTER_CERTIFICATE || null,
    authorizedScopes: authorizedScopes(env.TASKCLUSTER_AUTHORIZED_SCOPES),
  };
  usable('TASKCLUSTER_ROOT_URL', () => route('/bewit', rootUrl));
  usable('TASKCLUSTER_CLIENT_ID and the like', () => bewit('https://localhost/', credentials));
  return { rootUrl, credentials, revision: env.PROXY_REVISION || 'unknown' };
}

function required(env, name, purpose) {
  const value = env[name];
  if (typeof value !== 'string' || value === '') throw ProxyError.notConfigured(`${name} is not set: ${purpose}`);
  return value;
}

/** A JSON array of scopes. Not set: no restriction. */
function authorizedScopes(text) {
  if (text === undefined || text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    throw ProxyError.notConfigured('TASKCLUSTER_AUTHORIZED_SCOPES: expected a JSON array of scopes');
  }
}

function usable(name, attempt) {
  try {
    attempt();
  } catch (error) {
    // Scopes that make the header too long are the caller's to hear of, with the request.
    if (error.code === 'AuthorizationTooLong') return;
    throw ProxyError.notConfigured(`${name}: ${error.message}`);
  }
}
