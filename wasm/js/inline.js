// The entry for Node, browsers, bundlers, Deno and Bun: this file contains the module as text.
import { alphabet, first, length, text } from '../pkg/bytes.js';
import { provide } from './module.js';
import { fromPrintable } from './printable.js';

provide(() => new WebAssembly.Module(fromPrintable(text, alphabet, first, length)));
export * from './api.js';
