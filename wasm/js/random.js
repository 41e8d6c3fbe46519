// Random nonces, and seeds of temporary credentials.
import { HawkError } from './shapes.js';

const NONCE_LENGTH = 8;
/** 64 characters: each stands for six bits. */
const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** Random bytes for many nonces: each call of `getRandomValues` takes as long as a signature. */
const store = new Uint8Array(256 * NONCE_LENGTH);
let used = store.length;

/** Makes two requests in the same second differ. */
export function randomNonce() {
  if (used === store.length) {
    random().getRandomValues(store);
    used = 0;
  }
  let nonce = '';
  for (const end = used + NONCE_LENGTH; used < end; used += 1) nonce += CHARACTERS[store[used] & 63];
  return nonce;
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

/** The source of randomness, read at each call: workers have none while they load. */
function random() {
  const source = globalThis.crypto;
  if (typeof source?.getRandomValues !== 'function') {
    const reason = 'no source of randomness: globalThis.crypto.getRandomValues is missing (Node has it from 20 on); pass options.nonce or options.seed';
    throw new HawkError('RandomnessUnavailable', reason);
  }
  return source;
}
