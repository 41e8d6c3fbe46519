// Uses the package in a project that has neither the types of the DOM nor those of Node. It is compiled, not run.
import { HawkError, bewit, forwardedHeaders, inspect, sign, signRequest, verifyBewit } from 'taskcluster-hawk';
import type { Credentials, FetchRequest } from 'taskcluster-hawk';

const tester: Credentials = { clientId: 'tester', accessToken: 'no-secret', authorizedScopes: ['a'] };
const url: string = bewit('https://tc.example.com/x', tester, { expires: new Date() });
bewit({ href: url }, tester);
const { headers } = sign({ url, method: 'PUT' }, tester);
const error: boolean = new Error() instanceof HawkError;
const when: Date | null = verifyBewit(url, () => undefined).expires;
const kind: 'bewit' | 'header' | undefined = inspect({ url, ...headers })?.kind;

declare const request: FetchRequest;
// As in the types of Cloudflare workers, whose classes are not members of `globalThis`.
declare class Headers {
  get(name: string): string | null;
  getSetCookie(): string[];
}
declare const fields: Headers;
signRequest(request, tester).url satisfies string;
const forwarded: Headers = forwardedHeaders(fields, 'response');
inspect({ url, headers });
inspect({ url, headers: fields });

export { error, forwarded, kind, when };
