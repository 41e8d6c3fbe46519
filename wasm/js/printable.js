// Encodes the module's bytes as printable ASCII, which reads the same in every encoding that a page can have. The 90 most
// frequent bytes become one character, the others two. Most characters of texts in the module stay what they are, and so
// compress together with JavaScript. The compressed text is hardly longer than the compressed bytes.

/** Without `"` and `\`, which would have to be escaped in a string, and `<`, which has a meaning in HTML. */
const PRINTABLE = ' !#$%&\'()*+,-./0123456789:;=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~';
const COUNT = 92;
/** The last two characters of the alphabet are the first ones of pairs. */
const SINGLE = COUNT - 2;

/**
 * The text, its alphabet, and the bytes that the first characters of the alphabet stand for. The further characters stand
 * for themselves; pairs stand for the remaining bytes.
 */
export function toPrintable(bytes) {
  const own = [...new TextEncoder().encode(PRINTABLE)];
  const counts = new Array(256).fill(0);
  // Twice for a character, as it also costs nothing to name it.
  for (const byte of bytes) counts[byte] += own.includes(byte) ? 2 : 1;
  const frequent = [...counts.keys()].sort((a, b) => counts[b] - counts[a]).slice(0, SINGLE).sort((a, b) => a - b);
  const first = frequent.filter((byte) => !own.includes(byte));
  const kept = own.filter((byte) => frequent.includes(byte));
  const unused = own.filter((byte) => !kept.includes(byte));
  const alphabet = String.fromCharCode(...unused.slice(0, first.length), ...kept, ...unused.slice(first.length));
  const characters = [];
  inOrder(alphabet, first).forEach((byte, rank) => {
    const beyond = rank - SINGLE;
    characters[byte] = beyond < 0 ? alphabet[rank] : alphabet[SINGLE + Math.floor(beyond / COUNT)] + alphabet[beyond % COUNT];
  });
  return { text: Array.from(bytes, (byte) => characters[byte]).join(''), alphabet, first };
}

/** All bytes: those that one character stands for, in the order of the alphabet, and then the others. */
function inOrder(alphabet, first) {
  const further = new TextEncoder().encode(alphabet.slice(first.length));
  return Uint8Array.from(new Set([...first, ...further, ...Array(256).keys()]));
}

export function fromPrintable(text, alphabet, first, length) {
  const order = inOrder(alphabet, first);
  const ranks = new Uint8Array(128);
  for (let rank = 0; rank < COUNT; rank += 1) ranks[alphabet.charCodeAt(rank)] = rank;
  const bytes = new Uint8Array(length);
  // All characters at once: a call for each one takes three times as long.
  const encoded = new TextEncoder().encode(text);
  for (let from = 0, to = 0; to < length; to += 1) {
    const rank = ranks[encoded[from++]];
    bytes[to] = order[rank < SINGLE ? rank : SINGLE + (rank - SINGLE) * COUNT + ranks[encoded[from++]]];
  }
  return bytes;
}
