/** The environment's `URL`, `Request` and `Headers`, as far as its types (DOM, Node, workers) are there. */
export type UrlObject = typeof globalThis extends { URL: { prototype: infer T } } ? T : { readonly href: string };
export type FetchRequest = typeof globalThis extends { Request: { prototype: infer T } } ? T : { readonly url: string; readonly method: string };
export type FetchHeaders = typeof globalThis extends { Headers: { prototype: infer T } } ? T : { get(name: string): string | null };

/** Taskcluster credentials, permanent or temporary. */
export interface Credentials {
  clientId: string;
  /** The secret. It is never shown in an error. */
  accessToken: string;
  /** Of temporary credentials; a string is JSON. Left out, `null` and `''` mean permanent ones. */
  certificate?: string | Certificate | null | undefined;
  /** What is signed is restricted to these. `[]` means no scopes; left out or `null`: no restriction. */
  authorizedScopes?: readonly string[] | null | undefined;
}

/** What makes temporary credentials valid. */
export interface Certificate {
  version: 1;
  scopes: readonly string[];
  /** Milliseconds since the epoch. */
  start: number;
  /** Milliseconds since the epoch. */
  expiry: number;
  seed: string;
  signature: string;
  /** Who issued them, where their clientId is another one. */
  issuer?: string | undefined;
}

/** A clock for tests, or one that is better than the machine's. */
export interface ClockOptions {
  /** Default: the time of the call. */
  now?: Date | undefined;
}

export interface ExpiryOptions {
  /** Seconds from now (or from `start`), 3600 by default, 31 days at most. Not together with `expires`. */
  expiresIn?: number | undefined;
  expires?: Date | undefined;
}

export interface SignOptions extends ClockOptions {
  /** Makes two requests of one second differ. Default: random. */
  nonce?: string | undefined;
}

export interface TemporaryOptions extends ExpiryOptions, ClockOptions {
  /** What the credentials may do. The issuer has to hold all of it. */
  scopes: readonly string[];
  /** Their clientId. The issuer needs `auth:create-client:<name>`; left out, they go by its clientId. */
  name?: string | undefined;
  /** Default: now. The services allow for clocks that differ by 5 minutes. */
  start?: Date | undefined;
  /** 44 URL-safe base64 characters. Default: random. */
  seed?: string | undefined;
}

/** Who a request is from, proven. */
export interface Verified {
  clientId: string;
  /** What the request may do; `assume:anonymous` is always among it. */
  scopes: string[];
  /** When the bewit or the credentials cease to be valid, or the last `Date` there is; `null` for never. */
  expires: Date | null;
  /** The payload hash that the signature covers, if any. Compare it with the payload's. */
  hash?: string;
}

/**
 * Finds the permanent credentials of a client, and what it may do: without `scopes`, nothing. For
 * named temporary credentials it is asked for their issuer. It cannot be asynchronous.
 */
export type CredentialsFor = (clientId: string) => Client | null | undefined;

/** A client as a lookup knows it. */
export interface Client {
  clientId: string;
  accessToken: string;
  scopes?: readonly string[] | undefined;
}

/** What a request claims; nothing of it is proven. */
export type Claim = BewitClaim | HeaderClaim;

export interface BewitClaim extends ClaimParts {
  kind: 'bewit';
  /** The last `Date` there is, for what is later. */
  expires: Date;
}

export interface HeaderClaim extends ClaimParts {
  kind: 'header';
  ts: Date;
  nonce: string;
}

export interface ClaimParts {
  clientId: string;
  mac: string;
  /** The certificate and the authorizedScopes, decoded; a string where it is not what it has to be. */
  ext: { certificate?: Certificate; authorizedScopes?: string[] } | string | null;
  /** The text that the MAC has to be of. */
  normalizedString: string;
}

/** Where a request to the proxy leads. */
export type Route =
  | { kind: 'api' | 'host'; url: string }
  | { kind: 'bewit' | 'credentials'; url?: undefined };

export type HawkErrorCode =
  /** An argument has the right type and is not what it has to be. */
  | 'InputError'
  /** The services would refuse the result for its length; the message says what to do. */
  | 'AuthorizationTooLong'
  /** A signature does not hold, or its credentials do not. */
  | 'AuthenticationFailed'
  /** A request target leads nowhere. */
  | 'ResourceNotFound'
  /** `globalThis.crypto` is missing. */
  | 'RandomnessUnavailable'
  /** WebAssembly is missing, too old, or forbidden by a content security policy. */
  | 'WebAssemblyUnavailable';

/**
 * Why something was refused, in the words of the proxy. An argument of the wrong type, or a member that an object of
 * options or credentials does not have, is a `TypeError` instead. Both name the argument; neither shows a secret.
 *
 * `instanceof` holds for errors of every copy of this package: of the one for `import` and the one for `require`.
 */
export class HawkError extends Error {
  private constructor();
  /** Stable, unlike the message. */
  readonly code: HawkErrorCode;
  /** The message without the name of the argument. */
  readonly reason: string;
  /** The argument that is at fault, such as `credentials.certificate`. */
  readonly argument?: string;
}

/**
 * Signs a URL for GET and HEAD: whoever has it can use it until it expires.
 *
 * @returns the URL with a `bewit` parameter, in the form in which `fetch` sends it
 */
export function bewit(url: string | UrlObject, credentials: Credentials, options?: ExpiryOptions & ClockOptions): string;

/**
 * Signs a request. Send it to the `url` that is returned: that is the form in which `fetch` sends
 * the one given, and the one that is signed.
 */
export function sign(
  request: { url: string | UrlObject; /** GET by default. */ method?: string | undefined },
  credentials: Credentials,
  options?: SignOptions,
): { url: string; headers: { authorization: string } };

/** Signs a `Request` of the fetch API. The body is passed on untouched, and still streams. */
export function signRequest(request: FetchRequest, credentials: Credentials, options?: SignOptions): FetchRequest;

/**
 * Makes temporary credentials, without asking the services.
 *
 * @param issuer permanent credentials; if restricted to authorizedScopes, so are the temporary ones
 * @returns credentials whose certificate is a string of JSON
 */
export function createTemporaryCredentials(
  issuer: Credentials,
  options: TemporaryOptions,
): { clientId: string; accessToken: string; certificate: string; authorizedScopes?: string[] };

/** Checks a signed URL as Taskcluster's auth service does. Throws a `HawkError` if it does not hold. */
export function verifyBewit(url: string | UrlObject, credentialsFor: CredentialsFor, options?: ClockOptions): Verified;

/** Checks a signed request as Taskcluster's auth service does. Throws a `HawkError` if it does not hold. */
export function verifyHeader(
  request: { /** GET by default. */ method?: string | undefined; url: string | UrlObject; authorization: string },
  credentialsFor: CredentialsFor,
  options?: ClockOptions,
): Verified;

/** Shows what a signed URL or request claims; `null` if it claims nothing. For debugging: it checks nothing. */
export function inspect(
  request: string | UrlObject | { method?: string | undefined; url: string | UrlObject; authorization?: string | null | undefined },
): Claim | null;

/** Whether the holder of `scopes` holds all of `required`. */
export function satisfies(scopes: readonly string[], required: string | readonly string[]): boolean;

/** The scopes that no other one of them satisfies: they grant the same. */
export function reduceScopes(scopes: readonly string[]): string[];

/** Where the proxy would send a request for `target` (`/queue/v1/ping`) of a deployment at `rootUrl`. */
export function route(target: string, rootUrl: string | UrlObject): Route;

/**
 * The header fields of a message that the proxy forwards. It leaves out those that are for one hop (`Connection` and
 * what it names, `TE`, ...); of a request also `Authorization` and `Host`, which it replaces; of a response also those
 * that only the proxy itself may set (`X-Taskcluster-Proxy-...`).
 */
export function forwardedHeaders(headers: FetchHeaders, message: 'request' | 'response'): FetchHeaders;
