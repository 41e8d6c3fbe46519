// Node, browsers, bundlers, Deno, Bun: the module is a text of one character for each byte.
import bytes from '../pkg/bytes.js';
import { provide } from './module.js';

provide(() => new WebAssembly.Module(Uint8Array.from(bytes, (c) => c.charCodeAt(0))));
export * from './api.js';
