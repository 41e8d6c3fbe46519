// Node, browsers, bundlers, Deno, Bun: the module is a text in this file.
import { length, text } from '../pkg/bytes.js';
import { provide } from './module.js';
import { fromPrintable } from './printable.js';

provide(() => new WebAssembly.Module(fromPrintable(text, length)));
export * from './api.js';
