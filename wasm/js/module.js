// Starts the wasm module at the first call, and explains why it cannot start.
import * as bindings from '../pkg/hawk_bg.js';
import { HawkError } from './shapes.js';

let source;
let running = false;

/** Called by each entry point with a function that returns a `WebAssembly.Module`. */
export function provide(module) {
  source = module;
}

/** The functions of the module. It starts at the first call, as workers allow little work while they load. */
export function hawk() {
  if (!running) start();
  return bindings;
}

function start() {
  try {
    const { exports } = new WebAssembly.Instance(source(), { './hawk_bg.js': bindings });
    bindings.__wbg_set_wasm(exports);
    exports.__wbindgen_start();
  } catch (cause) {
    throw new HawkError('WebAssemblyUnavailable', `WebAssembly cannot be used here: ${why(cause)}`, '', { cause });
  }
  running = true;
}

function why(cause) {
  if (typeof WebAssembly !== 'object') return 'this environment does not have it';
  // Parts of the messages of Chromium, Firefox, Safari and workerd.
  if (/content.security|csp|unsafe-eval|disallowed/i.test(cause?.message)) {
    return `it is forbidden, by a content security policy without 'wasm-unsafe-eval' or by the platform (${cause})`;
  }
  return `the module does not start; it needs WebAssembly with SIMD (Safari 16.4 or later), some memory, and its own unchanged bytes (${cause})`;
}
