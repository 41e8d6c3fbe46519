// By name, so that bundlers leave out the ways to start that are not used.
import { Credentials, claimant, initSync, inspect, notForwarded, reduceScopes, route, satisfies, verify } from '../pkg/hawk.js';
import { HawkError } from './shapes.js';

const functions = { Credentials, claimant, inspect, notForwarded, reduceScopes, route, satisfies, verify };

let source;
let running = false;

/** An entry point says where the module comes from: a function that gives a `WebAssembly.Module`. */
export function provide(module) {
  source = module;
}

/** The functions of the wasm module. It starts at the first call: workers allow little at load time. */
export function hawk() {
  if (!running) start();
  return functions;
}

function start() {
  try {
    initSync({ module: source() });
  } catch (cause) {
    const reason = `WebAssembly cannot be used here (a content security policy has to allow 'wasm-unsafe-eval'): ${cause}`;
    throw new HawkError('WebAssemblyUnavailable', reason, '', { cause });
  }
  running = true;
}
