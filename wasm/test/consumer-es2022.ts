// Uses the package in a project that has neither the types of the DOM nor those of Node. It is compiled, not run.
import { HawkError, bewit, forwardedHeaders, inspect, sign, signRequest, verifyBewit } from 'taskcluster-hawk';
import type { Credentials, FetchHeaders, FetchRequest } from 'taskcluster-hawk';

const tester: Credentials = { clientId: 'tester', accessToken: 'no-secret', authorizedScopes: ['a'] };
const url: string = bewit('https://tc.example.com/x', tester, { expires: new Date() });
bewit({ href: url }, tester);
const { headers } = sign({ url, method: 'PUT' }, tester);
const error: boolean = new Error() instanceof HawkError;
const when: Date | null = verifyBewit(url, () => undefined).expires;
const kind: 'bewit' | 'header' | undefined = inspect({ url, ...headers })?.kind;

declare const request: FetchRequest;
declare const fields: FetchHeaders;
signRequest(request, tester).url satisfies string;
forwardedHeaders(fields, 'response').get('x') satisfies string | null;

export { error, kind, when };
