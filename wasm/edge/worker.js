// taskcluster-proxy at the edge: signs and forwards requests for clients that have the bearer token. It is not all of the
// native proxy (README, "Limits").
import { HawkError, bewit, route, signRequest } from 'taskcluster-hawk';
import { bearerToken, configuration } from './configuration.js';
import { AUTHORIZED_SCOPES, ownHeaders, requestHeaders, responseHeaders } from './headers.js';
import { holdsToken } from './token.js';
import { ProxyError, errorResponse } from './errors.js';

/** In bytes. */
const MAX_BEWIT_BODY = 64 * 1024;
/** In bytes: how much of a body that is too long is read and discarded. `wrangler dev` loses a response that is sent earlier. */
const MAX_DISCARDED = 16 * 1024 * 1024;
/** In seconds. */
const BEWIT_LIFETIME = 60 * 60;

export default {
  async fetch(request, env) {
    let own = [];
    let response;
    try {
      // Before everything else: only clients that have the token learn what is wrong with the configuration.
      if (!(await holdsToken(request, bearerToken(env)))) throw ProxyError.token();
      const { rootUrl, credentials, revision } = configuration(env);
      own = ownHeaders(credentials, revision);
      response = await respond(request, rootUrl, credentials);
    } catch (error) {
      response = errorResponse(error);
      // An error of the worker itself does not depend on them.
      own = own.filter(([name]) => !name.startsWith(AUTHORIZED_SCOPES));
    }
    for (const [name, value] of own) response.headers.set(name, value);
    return response;
  },
};

function respond(request, rootUrl, credentials) {
  // The platform has already normalised the target (README, "Limits").
  const target = request.url.slice(new URL(request.url).origin.length);
  const { kind, url } = route(target, rootUrl);
  if (kind === 'bewit') return signUrl(request, credentials);
  if (kind === 'credentials') throw ProxyError.credentials();
  return forward(request, url, credentials);
}

async function signUrl(request, credentials) {
  if (request.method !== 'POST') throw ProxyError.method('POST', '/bewit', request.method);
  const url = await readText(request, MAX_BEWIT_BODY);
  let signed;
  try {
    signed = bewit(url.trim(), credentials, { expiresIn: BEWIT_LIFETIME });
  } catch (error) {
    throw error instanceof HawkError && error.argument === 'url' ? ProxyError.bewitUrl(error.reason) : error;
  }
  const headers = { location: signed, 'content-type': 'text/plain; charset=utf-8' };
  return new Response(signed, { status: 303, headers });
}

async function forward(request, url, credentials) {
  const headers = requestHeaders(request.headers);
  // The client follows redirects itself: the target of one is not what was signed.
  const unsigned = new Request(url, { method: request.method, headers, body: request.body, redirect: 'manual' });
  const signed = signRequest(unsigned, credentials);
  let upstream;
  try {
    upstream = await fetch(signed);
  } catch (error) {
    throw ProxyError.unreachable(new URL(url).origin, error.message);
  }
  const { body, status, statusText } = upstream;
  return new Response(body, { status, statusText, headers: responseHeaders(upstream.headers, signed.url) });
}

/** The body as text. It keeps at most `limit` bytes in memory, whatever the client sends. */
async function readText(request, limit) {
  if (Number(request.headers.get('content-length')) > limit) throw ProxyError.tooLarge(limit);
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength;
    if (length > limit + MAX_DISCARDED) break;
    if (length <= limit) chunks.push(chunk);
  }
  if (length > limit) throw ProxyError.tooLarge(limit);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await new Blob(chunks).arrayBuffer());
  } catch {
    throw ProxyError.bewitUrl('expected a URL in UTF-8, found other bytes');
  }
}
