// Builds the demo page as one file with its style, script and wasm module, which can be opened from disk.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

export async function buildDemo(options) {
  await build({ ...options, entryPoints: ['demo/demo.js'], format: 'esm', outfile: 'pkg/demo.js' });
  const script = readFileSync('pkg/demo.js', 'utf8').replaceAll('</script', '<\\/script');
  const style = readFileSync('demo/style.css', 'utf8');
  const hash = createHash('sha256').update(script).digest('base64');
  // The page may not load or send anything, and runs only this script.
  const policy = `default-src 'none'; script-src 'sha256-${hash}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'`;
  const parts = { policy, style, script };
  const page = readFileSync('demo/index.html', 'utf8').replace(/\{\{(\w+)\}\}/g, (_, part) => parts[part]);
  writeFileSync('demo/taskcluster-hawk.html', page);
}
