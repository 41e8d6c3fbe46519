// The header fields of requests and responses: what is forwarded, and what the worker adds.
import { forwardedHeaders } from 'taskcluster-hawk';
import { version } from 'taskcluster-hawk/package.json';

/** What Cloudflare and its like add on the way in; the upstream receives what the client sent. */
const PLATFORM = /^(cf-|cdn-loop$|x-real-ip$|x-forwarded-(for|host|port|proto)$|true-client-ip$)/;

/** Those of a request that are forwarded to the upstream. */
export function requestHeaders(headers) {
  const forwarded = forwardedHeaders(headers, 'request');
  for (const name of [...forwarded.keys()]) if (PLATFORM.test(name)) forwarded.delete(name);
  return forwarded;
}

/** Those of an upstream's response that are forwarded to the client. */
export function responseHeaders(headers) {
  return forwardedHeaders(headers, 'response');
}

/** Those that the worker adds to each response. */
export function ownHeaders({ clientId, certificate, authorizedScopes }, revision) {
  const headers = [['x-taskcluster-proxy-version', version], ['x-taskcluster-proxy-revision', revision]];
  if (certificate) {
    headers.push(['x-taskcluster-proxy-temp-clientid', clientId]);
    headers.push(['x-taskcluster-proxy-temp-scopes', JSON.stringify(JSON.parse(certificate).scopes)]);
  } else {
    headers.push(['x-taskcluster-proxy-perm-clientid', clientId]);
  }
  if (authorizedScopes) headers.push(['x-taskcluster-authorized-scopes', JSON.stringify(authorizedScopes)]);
  return headers;
}
