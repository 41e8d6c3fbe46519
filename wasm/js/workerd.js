// Cloudflare's workerd and its like compile no bytes at run time: the module comes compiled.
import module from './hawk.wasm';
import { provide } from './module.js';

provide(() => module);
export * from './api.js';
