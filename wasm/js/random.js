import { HawkError } from './shapes.js';

/** Makes two requests of one second differ. */
export function randomNonce() {
  const source = random();
  // Ten times faster in Node, which keeps random bytes in store for it; browsers have it for https only.
  if (typeof source.randomUUID === 'function') return source.randomUUID().slice(0, 8);
  return btoa(String.fromCharCode(...source.getRandomValues(new Uint8Array(6))));
}

/** Two v4 slugids: UUIDs in URL-safe base64. */
export function randomSeed() {
  return slugid() + slugid();
}

function slugid() {
  const bytes = random().getRandomValues(new Uint8Array(16));
  // Version and variant (RFC 9562 section 5.4).
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
}

/** Read at each call: workers have no randomness while they load. */
function random() {
  const source = globalThis.crypto;
  if (typeof source?.getRandomValues !== 'function') {
    const reason = 'no source of randomness: globalThis.crypto.getRandomValues is missing (Node has it from 20 on); pass options.nonce or options.seed';
    throw new HawkError('RandomnessUnavailable', reason);
  }
  return source;
}
