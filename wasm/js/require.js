// The entry for `require` in Node: reads the module from hawk.wasm beside it. Bundlers use the entry for `import`, which
// contains the module (the condition "module" in package.json).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { provide } from './module.js';

provide(() => new WebAssembly.Module(readFileSync(join(__dirname, 'hawk.wasm'))));
export * from './api.js';
