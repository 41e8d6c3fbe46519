import { version } from 'taskcluster-hawk/package.json';

/** Meant for the next hop alone (RFC 9110 section 7.6.1, and 11.7 for those that authenticate to it). */
const HOP_BY_HOP = [
  'connection', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization', 'proxy-connection',
  'keep-alive', 'te', 'transfer-encoding', 'upgrade',
];

/** What Cloudflare adds on the way in; upstream is to see what the caller sent. */
const PLATFORM = /^(cf-|cdn-loop$|x-real-ip$|x-forwarded-(for|proto)$|true-client-ip$)/;

/** Those of a request that go on upstream. The signature takes the place of the bearer token. */
export function forwardedHeaders(headers) {
  const forwarded = withoutHopByHop(headers);
  forwarded.delete('authorization');
  forwarded.delete('host');
  for (const name of [...forwarded.keys()]) if (PLATFORM.test(name)) forwarded.delete(name);
  return forwarded;
}

/** Those of an upstream's answer that go back. */
export function returnedHeaders(headers) {
  return withoutHopByHop(headers);
}

/** The headers that each answer carries. */
export function replyHeaders({ clientId, certificate, authorizedScopes }, revision) {
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

function withoutHopByHop(headers) {
  const kept = new Headers(headers);
  const named = (headers.get('connection') ?? '').split(',').map((name) => name.trim());
  for (const name of [...HOP_BY_HOP, ...named]) if (isToken(name)) kept.delete(name);
  return kept;
}

/** `Headers` throws at anything else. */
function isToken(name) {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}
