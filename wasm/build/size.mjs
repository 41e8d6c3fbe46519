// What a user of the package downloads, compressed: what is over budget fails the build.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** In bytes, of the JavaScript and the wasm module of one entry together. */
const BUDGET = 40_000;

const ENTRIES = {
  'import (Node, browsers, bundlers, Deno, Bun)': ['index.js'],
  'require (Node)': ['index.cjs'],
  'workerd, edge-light': ['workerd.js', 'hawk.wasm'],
};

export function checkSizes() {
  console.log(`taskcluster-hawk, bytes gzipped (budget ${BUDGET} for each entry):`);
  for (const [entry, files] of Object.entries(ENTRIES)) {
    const sizes = files.map((file) => gzipSync(readFileSync(new URL(`../dist/${file}`, import.meta.url)), { level: 9 }).length);
    const total = sizes.reduce((sum, size) => sum + size);
    const parts = files.map((file, index) => `${file} ${sizes[index]}`).join(' + ');
    console.log(`  ${String(total).padStart(6)}  ${entry}: ${parts}`);
    if (total > BUDGET) {
      console.error(`over budget by ${total - BUDGET} bytes: ${entry}`);
      process.exitCode = 1;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) checkSizes();
