import { HawkError } from './shapes.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Makes two requests of one second differ. */
export function nonce() {
  let text = '';
  for (const byte of randomBytes(8)) text += DIGITS[byte & 63];
  return text;
}

/** Two v4 slugids: UUIDs in URL-safe base64. */
export function seed() {
  return slugid() + slugid();
}

function slugid() {
  const bytes = randomBytes(16);
  // Version and variant (RFC 9562 section 5.4).
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
}

/** Read at each call: workers have no randomness while they load. */
function randomBytes(length) {
  const source = globalThis.crypto;
  if (typeof source?.getRandomValues !== 'function') {
    const reason = 'no source of randomness: globalThis.crypto.getRandomValues is missing (Node has it from 20 on); pass options.nonce or options.seed';
    throw new HawkError('RandomnessUnavailable', reason);
  }
  return source.getRandomValues(new Uint8Array(length));
}
