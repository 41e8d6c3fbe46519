// Prints the compressed sizes of the files that users of the package download; the build fails if one is over its limit.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** In bytes, gzipped. */
const LIMITS = {
  'hawk.wasm': 40_000,
  'index.js': 47_000,
};

export function checkSizes() {
  console.log('taskcluster-hawk, bytes gzipped:');
  for (const [file, limit] of Object.entries(LIMITS)) {
    const size = gzipSync(readFileSync(new URL(`../dist/${file}`, import.meta.url)), { level: 9 }).length;
    console.log(`  ${String(size).padStart(6)} of ${limit}  ${file}`);
    if (size > limit) {
      console.error(`${file}: ${size - limit} bytes over its limit`);
      process.exitCode = 1;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) checkSizes();
