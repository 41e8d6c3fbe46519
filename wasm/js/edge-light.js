// Edge functions of Vercel, and the edge runtime of Next.js: `?module` asks the bundler for a compiled module.
import module from './hawk.wasm?module';
import { provide } from './module.js';

provide(() => module);
export * from './api.js';
