// Uses the package as a strict TypeScript project does. It is compiled, not run.
import {
  HawkError, bewit, createTemporaryCredentials, forwardedHeaders, inspect, reduceScopes, route, satisfies, sign, signRequest, verifyBewit, verifyHeader,
} from 'taskcluster-hawk';
import type { Certificate, Claim, Credentials, CredentialsFor, HawkErrorCode, Route, Verified } from 'taskcluster-hawk';

declare const certificate: Certificate;
const tester: Credentials = { clientId: 'tester', accessToken: 'no-secret', certificate, authorizedScopes: null };
const plain: Credentials = { clientId: 'tester', accessToken: 'no-secret' };
const lookup: CredentialsFor = (clientId) => (clientId === 'tester' ? { ...plain, scopes: ['*'] } : null);

// Values from elsewhere: constants, the environment, a table of clients.
declare const env: { certificate: string | undefined; name: string | undefined };
const scopes = ['a', 'b:*'] as const;
const optional: Credentials = { ...plain, certificate: env.certificate, authorizedScopes: undefined };
const restricted: Credentials = { ...plain, authorizedScopes: scopes };
const clients = new Map([['tester', { clientId: 'tester', accessToken: 'no-secret', scopes }]]);

const url: string = bewit(new URL('https://tc.example.com/x'), tester, { expiresIn: 60, now: new Date() });
bewit(url, plain);
const signed: { url: string; headers: { authorization: string } } = sign({ url, method: 'PUT' }, plain, { nonce: 'n' });
void fetch(signed.url, { headers: signed.headers });
const request: Request = signRequest(new Request(url), plain);
const temporary: Credentials = createTemporaryCredentials(plain, { scopes: ['a'], name: 'n', expires: new Date() });
const verified: Verified = verifyBewit(url, lookup, { now: new Date() });
const expires: number | undefined = verified.expires?.getTime();
verifyHeader({ method: request.method, url: request.url, authorization: signed.headers.authorization }, lookup);
const held: boolean = satisfies(reduceScopes(verified.scopes), 'a') && satisfies([], ['b']);
const where: Route = route('/queue/v1/x', 'https://tc.example.com');
if (where.kind === 'api') new URL(where.url);
const claim: Claim | null = inspect(url);
if (claim?.kind === 'header') claim.ts.getTime() satisfies number;
verifyBewit(url, (clientId) => clients.get(clientId), { now: undefined });
bewit(url, optional, { expiresIn: undefined, expires: new Date(), now: undefined });
sign({ url: new URL(url), method: env.name }, restricted, { nonce: env.name });
inspect({ url, method: env.name, authorization: env.name });
inspect(signed);
inspect(request);
createTemporaryCredentials(plain, { scopes, name: env.name, start: undefined, seed: undefined, now: new Date() });
satisfies(scopes, scopes) && reduceScopes(scopes);
const forwarded: Headers = forwardedHeaders(request.headers, 'request');
try {
  bewit('nonsense', temporary);
} catch (error) {
  if (error instanceof HawkError) error.code satisfies HawkErrorCode;
}

// @ts-expect-error: credentials are needed
bewit(url);
// @ts-expect-error: a Date, not a number
bewit(url, plain, { expires: 1 });
// @ts-expect-error: scopes are needed
createTemporaryCredentials(plain, {});
// @ts-expect-error: it cannot be asynchronous
verifyBewit(url, async () => null);

// @ts-expect-error: it is expiresIn
bewit(url, plain, { ttlSec: 60 });
// @ts-expect-error: it belongs to the credentials
bewit(url, plain, { authorizedScopes: [] });

export { expires, forwarded, held };
