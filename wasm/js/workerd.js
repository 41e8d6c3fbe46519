// The entry for Cloudflare's workerd and similar runtimes, which do not compile bytes at run time: they import a compiled module.
import module from './hawk.wasm';
import { provide } from './module.js';

provide(() => module);
export * from './api.js';
