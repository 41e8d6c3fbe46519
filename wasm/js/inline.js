// Node, browsers, bundlers, Deno, Bun: the module is a text with one character for each byte.
import { shift, text } from '../pkg/bytes.js';
import { provide } from './module.js';

provide(() => new WebAssembly.Module(Uint8Array.from(text, (c) => c.charCodeAt(0) - shift)));
export * from './api.js';
