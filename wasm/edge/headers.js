// The header fields of requests and responses: which ones are forwarded, and which ones the worker adds.
import { forwardedHeaders, inspect, reduceScopes, sign } from 'taskcluster-hawk';
import { version } from 'taskcluster-hawk/package.json';

/** Fields that Cloudflare and similar platforms add to a request; the upstream receives the client's own fields only. */
const PLATFORM = /^(cf-|cdn-loop$|x-real-ip$|x-forwarded-(for|host|port|proto)$|true-client-ip$)/;
/** In bytes, for both lists of scopes together, as in the native proxy: the worker's own fields stay under 8 KiB. */
const MAX_LISTS = 3 * 1024;
/** In bytes, as in the native proxy (core/src/proxy/headers.rs). A longer clientId is left out. */
const MAX_CLIENT_ID = 512;
/** In bytes. */
const MAX_ENDPOINT = 4 * 1024;

const ENDPOINT = 'x-taskcluster-endpoint';
const TEMP_SCOPES = 'x-taskcluster-proxy-temp-scopes';
export const AUTHORIZED_SCOPES = 'x-taskcluster-authorized-scopes';

/** The fields of a request that are forwarded to the upstream. */
export function requestHeaders(headers) {
  const forwarded = forwardedHeaders(headers, 'request');
  for (const name of [...forwarded.keys()]) if (PLATFORM.test(name)) forwarded.delete(name);
  return forwarded;
}

/** The fields of an upstream's response that are forwarded to the client, and the URL that the response is from. */
export function responseHeaders(headers, url) {
  const forwarded = forwardedHeaders(headers, 'response');
  if (url.length <= MAX_ENDPOINT) forwarded.set(ENDPOINT, url);
  return forwarded;
}

/** The fields that the worker adds to each response. Lists of scopes that are too long are replaced by counts. */
export function ownHeaders(credentials, revision) {
  const { clientId, certificate } = credentials;
  const temporary = certificate && JSON.stringify(JSON.parse(certificate).scopes);
  const sent = sentScopes(credentials);
  const authorized = sent && JSON.stringify(sent);
  const isShort = (temporary?.length ?? 0) + (authorized?.length ?? 0) <= MAX_LISTS;
  const list = (name, json, binding) =>
    isShort ? [name, json] : [`${name}-count`, `${JSON.parse(json).length}; listed in the binding ${binding}`];
  const headers = [['x-taskcluster-proxy-version', version], ['x-taskcluster-proxy-revision', revision]];
  if (clientId.length <= MAX_CLIENT_ID) headers.push([`x-taskcluster-proxy-${temporary ? 'temp' : 'perm'}-clientid`, clientId]);
  if (temporary) headers.push(list(TEMP_SCOPES, temporary, 'TASKCLUSTER_CERTIFICATE'));
  if (authorized) headers.push(list(AUTHORIZED_SCOPES, authorized, 'TASKCLUSTER_AUTHORIZED_SCOPES'));
  return headers;
}

/** The authorizedScopes in the `ext` of signed requests, without those that others satisfy if only then all of it fits. */
function sentScopes(credentials) {
  if (!credentials.authorizedScopes) return null;
  const url = 'https://localhost/';
  try {
    return inspect({ url, ...sign({ url }, credentials).headers }).ext.authorizedScopes;
  } catch (error) {
    if (error.code !== 'AuthorizationTooLong') throw error;
    return reduceScopes(credentials.authorizedScopes);
  }
}
