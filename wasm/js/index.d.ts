/** The environment's `URL` and `Request`, if its types (DOM, Node, workers) are available. */
export type UrlObject = typeof globalThis extends { URL: { prototype: infer T } } ? T : { readonly href: string };
export type FetchRequest = typeof globalThis extends { Request: { prototype: infer T } } ? T : { readonly url: string; readonly method: string };

/** Taskcluster credentials, permanent or temporary. */
export interface Credentials {
  clientId: string;
  /** The secret. It is never shown in an error. */
  accessToken: string;
  /** For temporary credentials: an object, or JSON in a string. Without it, or with `null` or `''`, they are permanent. */
  certificate?: string | Certificate | null | undefined;
  /** Restricts signed requests to these scopes. `[]` means no scopes; left out or `null`, there is no restriction. */
  authorizedScopes?: readonly string[] | null | undefined;
}

/** The certificate of temporary credentials: the issuer's signature of their scopes and validity. */
export interface Certificate {
  version: 1;
  scopes: readonly string[];
  /** Milliseconds since the epoch. */
  start: number;
  /** Milliseconds since the epoch. */
  expiry: number;
  seed: string;
  signature: string;
  /** The clientId of the issuer, if it differs from that of the credentials. */
  issuer?: string | undefined;
}

/** The time, for tests or if the machine's clock is wrong. */
export interface ClockOptions {
  /** Default: the time of the call. */
  now?: Date | undefined;
}

export interface ExpiryOptions {
  /** Seconds from now (or from `start`), 3600 by default, 31 days at most. Not together with `expires`. */
  expiresIn?: number | undefined;
  /** After now; for temporary credentials at most 31 days after `start`. */
  expires?: Date | undefined;
}

export interface SignOptions extends ClockOptions {
  /** Makes two requests in the same second differ. Default: random. */
  nonce?: string | undefined;
}

export interface TemporaryOptions extends ExpiryOptions, ClockOptions {
  /** The scopes of the credentials. The issuer must have all of them. */
  scopes: readonly string[];
  /** Their clientId, for which the issuer needs `auth:create-client:<name>`. Default: the issuer's clientId. */
  name?: string | undefined;
  /** Default: now. The services allow for clocks that differ by 5 minutes. */
  start?: Date | undefined;
  /** 44 URL-safe base64 characters. Default: random. */
  seed?: string | undefined;
}

/** The verified sender of a request. */
export interface Verified {
  clientId: string;
  /** The scopes of the request; `assume:anonymous` is always one of them. */
  scopes: string[];
  /** When the bewit or the credentials expire, at most the latest possible `Date`; `null` if they do not. */
  expires: Date | null;
  /** The payload hash that the signature covers, if any. Compare it with the hash of the payload. */
  hash?: string;
}

/**
 * Returns the permanent credentials and the scopes of a client; without `scopes`, it has none. For
 * named temporary credentials it is called with the clientId of their issuer. It cannot be asynchronous.
 */
export type CredentialsFor = (clientId: string) => Client | null | undefined;

/** A client, as a lookup returns it. */
export interface Client {
  clientId: string;
  accessToken: string;
  scopes?: readonly string[] | undefined;
}

/** The unverified contents of a signature. */
export type Claim = BewitClaim | HeaderClaim;

export interface BewitClaim extends ClaimParts {
  kind: 'bewit';
  /** At most the latest possible `Date`. */
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
  /** The decoded certificate and authorizedScopes; the string itself if it cannot be decoded. */
  ext: { certificate?: Certificate; authorizedScopes?: string[] } | string | null;
  /** The text that the MAC must be calculated from. */
  normalizedString: string;
}

/** Where the proxy routes a request. */
export type Route =
  | { kind: 'api' | 'host'; url: string }
  | { kind: 'bewit' | 'credentials'; url?: undefined };

export type HawkErrorCode =
  /** An argument has the right type and an invalid value. */
  | 'InputError'
  /** The result would be longer than the services accept; the message says what to do. */
  | 'AuthorizationTooLong'
  /** A signature or its credentials are not valid. */
  | 'AuthenticationFailed'
  /** A request target has no route. */
  | 'ResourceNotFound'
  /** `globalThis.crypto` is missing. */
  | 'RandomnessUnavailable'
  /** WebAssembly is missing, too old, or forbidden by a content security policy. */
  | 'WebAssemblyUnavailable';

/**
 * Why an argument or a signature was rejected, with the messages of the proxy. For an argument of the wrong type, or an
 * unknown member of options or credentials, it is a `TypeError` instead. Both name the argument; neither shows a secret.
 *
 * `instanceof` is true for errors of every copy of this package: the one for `import` and the one for `require`.
 */
export class HawkError extends Error {
  private constructor();
  /** Stable, unlike the message. */
  readonly code: HawkErrorCode;
  /** The message without the name of the argument. */
  readonly reason: string;
  /** The invalid argument, such as `credentials.certificate`. */
  readonly argument?: string;
}

/**
 * Signs a URL for GET and HEAD: anyone who has it can use it until it expires.
 *
 * @returns the URL with a `bewit` parameter, in the form in which `fetch` sends it
 */
export function bewit(url: string | UrlObject, credentials: Credentials, options?: ExpiryOptions & ClockOptions): string;

/**
 * Signs a request. Send it to the returned `url`: this is the given URL in the form in which `fetch` sends it, and the
 * one that is signed.
 */
export function sign(
  request: { url: string | UrlObject; /** GET by default. */ method?: string | undefined },
  credentials: Credentials,
  options?: SignOptions,
): { url: string; headers: { authorization: string } };

/** Signs a `Request` of the fetch API. The body is not read, and still streams. */
export function signRequest(request: FetchRequest, credentials: Credentials, options?: SignOptions): FetchRequest;

/**
 * Creates temporary credentials, without a request to the services.
 *
 * @param issuer permanent credentials; if restricted to authorizedScopes, so are the temporary ones
 * @returns credentials whose certificate is a string of JSON
 */
export function createTemporaryCredentials(
  issuer: Credentials,
  options: TemporaryOptions,
): { clientId: string; accessToken: string; certificate: string; authorizedScopes?: string[] };

/** Verifies a signed URL as Taskcluster's auth service does. Throws a `HawkError` if it is not valid. */
export function verifyBewit(url: string | UrlObject, credentialsFor: CredentialsFor, options?: ClockOptions): Verified;

/** Verifies a signed request as Taskcluster's auth service does. Throws a `HawkError` if it is not valid. */
export function verifyHeader(
  request: { /** GET by default. */ method?: string | undefined; url: string | UrlObject; authorization: string },
  credentialsFor: CredentialsFor,
  options?: ClockOptions,
): Verified;

/** Decodes the signature of a URL or request, without verifying it, for debugging; `null` if it is not signed. */
export function inspect(
  request:
    | string
    | UrlObject
    | {
        method?: string | undefined;
        url: string | UrlObject;
        authorization?: string | null | undefined;
        /** Those of a `Request`, or of what `sign` returns; used without `authorization`. */
        headers?: { get(name: string): string | null } | { authorization?: string | undefined } | undefined;
      },
): Claim | null;

/** Whether `scopes` satisfy all of `required`. */
export function satisfies(scopes: readonly string[], required: string | readonly string[]): boolean;

/** Leaves out the scopes that others satisfy: the remaining ones grant the same. */
export function reduceScopes(scopes: readonly string[]): string[];

/** Where a proxy for the deployment at `rootUrl` forwards a request for `target`, such as `/queue/v1/ping`. */
export function route(target: string, rootUrl: string | UrlObject): Route;

/**
 * The header fields of a message that the proxy forwards: all but the hop-by-hop fields (`Connection` and the fields that
 * it names, `TE`, ...) and `Expect`, which `fetch` does not support; in a request also without `Authorization` and `Host`,
 * which the proxy replaces; in a response also without those that only the proxy itself may set (`X-Taskcluster-Proxy-...`).
 */
export function forwardedHeaders<T extends { get(name: string): string | null }>(headers: T, message: 'request' | 'response'): T;
