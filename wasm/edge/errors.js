// Errors of the worker itself, with the messages and codes of the native proxy.
import { HawkError } from 'taskcluster-hawk';

/** An error of the worker itself: the status, code, message and header fields of the response. */
export class ProxyError extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }

  static method(allow, endpoint, method) {
    return new ProxyError(405, 'MethodNotAllowed', `expected ${allow} ${endpoint}, found ${method}`, { allow });
  }

  static bewitUrl(reason) {
    return new ProxyError(400, 'InputError', `the body of POST /bewit is the URL to sign: ${reason}`);
  }

  static tooLarge(limit) {
    return new ProxyError(413, 'InputTooLarge', `expected a body of at most ${limit} bytes, found a longer one`);
  }

  static unreachable(upstream, reason) {
    return new ProxyError(502, 'UpstreamUnreachable', `no response from ${upstream}: ${reason}`);
  }

  // The native proxy does not have the errors below.

  static credentials() {
    const message =
      'the credentials of this worker come from its secrets: set TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE with `wrangler secret put`';
    // An empty Allow: no method is allowed (RFC 9110 section 10.2.1).
    return new ProxyError(405, 'MethodNotAllowed', message, { allow: '' });
  }

  static token() {
    const message = 'expected an Authorization header with the bearer token of this worker (its secret PROXY_BEARER_TOKEN)';
    return new ProxyError(401, 'AuthenticationFailed', message, { 'www-authenticate': 'Bearer' });
  }

  static notConfigured(reason) {
    return new ProxyError(500, 'NotConfigured', `this worker does not serve: ${reason}`);
  }
}

/** The status for each code of the package's errors. */
const STATUS = { ResourceNotFound: 404, AuthorizationTooLong: 400, InputError: 400 };

/** A response in the format of the services' errors, so that the official clients show the message. */
export function errorResponse(error) {
  let { status, code, message, headers } = error;
  if (error instanceof HawkError && STATUS[code]) {
    status = STATUS[code];
  } else if (!(error instanceof ProxyError)) {
    console.error(error);
    [status, code, message] = [500, 'InternalServerError', 'the proxy failed to handle this request; see its log'];
  }
  const body = JSON.stringify({ code, message });
  return new Response(body, { status, headers: { 'content-type': 'application/json', ...headers } });
}
