// The demo page: reads its fields and shows the package's results for them. Nothing is sent or stored.
import { bewit, createTemporaryCredentials, inspect, sign, verifyBewit, verifyHeader } from '../dist/index.js';
import { countdowns, shown, showError, text } from './show.js';

const field = (id) => document.getElementById(id);
const value = (id) => field(id).value.trim();
const lines = (id) => value(id).split('\n').map((line) => line.trim()).filter(Boolean);

function credentials() {
  return {
    clientId: value('client-id'),
    accessToken: field('access-token').value,
    certificate: value('certificate') || null,
    authorizedScopes: field('restricted').checked ? lines('authorized-scopes') : null,
  };
}

const hasCredentials = () => value('client-id') !== '' && field('access-token').value !== '';

function signUrl(result) {
  if (!value('bewit-url') || !hasCredentials()) return hint(result, value('bewit-url'));
  const minutes = field('bewit-minutes');
  if (!minutes.checkValidity()) throw new RangeError(`valid for: ${minutes.validationMessage}`);
  const signed = bewit(value('bewit-url'), credentials(), { expiresIn: minutes.valueAsNumber * 60 });
  const { expires, normalizedString } = inspect(signed);
  result.append(
    shown('signed URL', signed),
    shown('expires', expires),
    shown('normalized string', normalizedString),
  );
}

function signRequest(result) {
  if (!value('header-url') || !hasCredentials()) return hint(result, value('header-url'));
  const request = { method: value('header-method') || 'GET', url: value('header-url') };
  const { url, headers } = sign(request, credentials());
  result.append(
    shown('URL to send it to', url),
    shown('Authorization', headers.authorization),
    shown('normalized string', inspect({ ...request, ...headers, url }).normalizedString),
  );
}

function inspectRequest(result) {
  if (!value('inspect-url')) return;
  const authorization = value('inspect-header').replace(/^authorization:\s*/i, '') || null;
  // A signed URL is for GET, whatever method the field has.
  const method = authorization ? value('inspect-method') || 'GET' : 'GET';
  const request = { method, url: value('inspect-url'), authorization };
  const claim = inspect(request);
  if (!claim) return result.append(text('p', 'This URL has no bewit. Paste a signed URL, or an Authorization header as well.'));
  result.append(check(request, claim), shown('clientId', claim.clientId));
  if (claim.kind === 'bewit') result.append(shown('expires', claim.expires));
  else result.append(shown('ts', claim.ts), shown('nonce', claim.nonce));
  if (claim.ext) result.append(shown('ext', JSON.stringify(claim.ext, null, 2)));
  result.append(shown('MAC', claim.mac), shown('normalized string', claim.normalizedString));
}

/** A paragraph that says whether the signature is valid, as far as the credentials on the page allow to tell. */
function check(request, claim) {
  if (!hasCredentials()) return text('p', 'Fill in the credentials above to check the signature.');
  const known = credentials();
  try {
    if (known.certificate) return checkAgainst(request, claim, known);
    const lookup = (clientId) => (clientId === known.clientId ? { ...known, authorizedScopes: null, scopes: ['*'] } : null);
    const { clientId, scopes } = claim.kind === 'bewit' ? verifyBewit(request.url, lookup) : verifyHeader(request, lookup);
    return text('p', `The signature is valid. It is from ${clientId}, with ${scopes.includes('*') ? 'all scopes of that client' : `the scopes ${scopes.join(', ')}`}.`, 'good');
  } catch (error) {
    const verdict = error.code === 'AuthenticationFailed' ? 'The signature is not valid' : 'The signature cannot be checked';
    return text('p', `${verdict}: ${error.message}`, 'bad');
  }
}

/** Checks a signature against temporary credentials, by signing the same request again. */
function checkAgainst(request, claim, known) {
  const { url } = sign(request, known);
  const unsigned = url.replace(/([?&])bewit=[^&]*&?/, '$1').replace(/[?&]$/, '');
  const again = { ...known, authorizedScopes: claim.ext?.authorizedScopes ?? null };
  // At the time of the signature, as an expired one cannot be made now.
  const now = new Date(Math.min(Date.now(), claim.kind === 'bewit' ? claim.expires - 1000 : claim.ts));
  const made =
    claim.kind === 'bewit'
      ? inspect(bewit(unsigned, again, { expires: claim.expires, now }))
      : inspect({ ...request, url, ...sign({ ...request, url }, again, { now: claim.ts, nonce: claim.nonce }).headers });
  if (made.mac !== claim.mac) return text('p', 'The signature is not valid: these credentials make another MAC.', 'bad');
  if (claim.kind === 'bewit' && claim.expires <= new Date()) return text('p', 'These credentials made the signature, and it has expired.', 'bad');
  return text('p', 'The signature is valid: these credentials made it.', 'good');
}

function makeTemporary(result) {
  if (!hasCredentials()) return hint(result, true);
  const made = createTemporaryCredentials(credentials(), {
    scopes: lines('temporary-scopes'),
    name: value('temporary-name') || undefined,
    expiresIn: field('temporary-hours').valueAsNumber * 3600,
  });
  const use = text('button', 'Use these credentials on this page');
  use.type = 'button';
  use.addEventListener('click', () => {
    field('client-id').value = made.clientId;
    field('access-token').value = made.accessToken;
    field('certificate').value = made.certificate;
    field('more').open = true;
    field('client-id').focus();
    update();
  });
  const { expiry } = JSON.parse(made.certificate);
  result.append(shown('credentials', JSON.stringify(made, null, 2)), shown('expires', new Date(expiry)), use);
}

function hint(result, started) {
  if (started) result.append(text('p', 'Fill in the credentials above.'));
}

function fill(id, show) {
  const result = field(id);
  result.replaceChildren();
  try {
    show(result);
  } catch (error) {
    showError(result, error);
  }
}

function update() {
  field('authorized-scopes').disabled = !field('restricted').checked;
  fill('bewit-result', signUrl);
  fill('header-result', signRequest);
  fill('inspect-result', inspectRequest);
}

document.addEventListener('input', update);
for (const form of document.forms) form.addEventListener('submit', (event) => event.preventDefault());
field('temporary').addEventListener('submit', () => fill('temporary-result', makeTemporary));
setInterval(countdowns, 1000);
update();
