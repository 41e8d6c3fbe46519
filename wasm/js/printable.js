// Encodes the module's bytes as printable ASCII, which reads the same in every encoding that a page can have. A byte below
// 90 becomes one character, any other byte two, the first of which is one of the last two of the alphabet. Compressed,
// this is a fifth smaller than base64.

/** Without `"` and `\`, which would have to be escaped in a string, and `<`, which has a meaning in HTML. */
const ALPHABET = ' !#$%&\'()*+,-./0123456789:;=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~';
const COUNT = ALPHABET.length;
const SINGLE = COUNT - 2;

export function toPrintable(bytes) {
  const character = (byte) =>
    byte < SINGLE ? ALPHABET[byte] : ALPHABET[SINGLE + Math.floor((byte - SINGLE) / COUNT)] + ALPHABET[(byte - SINGLE) % COUNT];
  return Array.from(bytes, character).join('');
}

export function fromPrintable(text, length) {
  const values = new Uint8Array(128);
  for (let value = 0; value < COUNT; value += 1) values[ALPHABET.charCodeAt(value)] = value;
  const bytes = new Uint8Array(length);
  // All characters at once: a call for each one takes three times as long.
  const encoded = new TextEncoder().encode(text);
  for (let from = 0, to = 0; to < length; to += 1) {
    const value = values[encoded[from++]];
    bytes[to] = value < SINGLE ? value : SINGLE + (value - SINGLE) * COUNT + values[encoded[from++]];
  }
  return bytes;
}
