// The vectors of fixtures/, and the credentials in them.
import { readFileSync } from 'node:fs';

/** The vectors that the Rust tests read too. */
export function fixtures(file) {
  return JSON.parse(readFileSync(new URL(`../../fixtures/${file}.json`, import.meta.url), 'utf8'));
}

/** The credentials of a vector, whose `ext_json` is the certificate and the authorizedScopes. */
export function credentialsOf({ clientId, accessToken, ext_json: ext }) {
  return { clientId, accessToken, ...ext };
}

/** A lookup of the clients in the vectors, which have all scopes. */
export function credentialsFor(clientId) {
  const accessToken = ACCESS_TOKENS[clientId];
  return accessToken === undefined ? null : { clientId, accessToken, scopes: ['*'] };
}

const ACCESS_TOKENS = {
  tester: 'no-secret',
  'project/harbour/issuer': 'q5Yl0TzE2mBv8wXcJd1KfRn7sUgHtA-6',
  'mozilla-auth0/ad|Some-Domain|user.name/dev_1~@x+y': 'pN3-_x9QwErTyUiOpAsDfGhJkLzXcVbNm12345',
};
