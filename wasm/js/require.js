// Node by `require`: the module is in the file beside. Bundlers take the entry for `import`, which has it in it (the
// condition "module" in package.json).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { provide } from './module.js';

provide(() => new WebAssembly.Module(readFileSync(join(__dirname, 'hawk.wasm'))));
export * from './api.js';
