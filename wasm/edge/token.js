// The bearer token that each request to the worker must carry.

/** Whether a request carries `Authorization: Bearer <token>`, in a time that does not depend on the token. */
export async function holdsToken(request, token) {
  const [scheme, given = ''] = (request.headers.get('authorization') ?? '').split(/ +(.*)/s);
  const [expected, found] = await Promise.all([digest(token), digest(given)]);
  // Digests have the same length whatever the texts are, and every byte of them is compared.
  let difference = 0;
  expected.forEach((byte, index) => (difference |= byte ^ found[index]));
  return scheme.toLowerCase() === 'bearer' && difference === 0;
}

async function digest(text) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}
