// The entry for Vercel's edge functions and the edge runtime of Next.js: `?module` makes the bundler compile the module.
import module from './hawk.wasm?module';
import { provide } from './module.js';

provide(() => module);
export * from './api.js';
