// Runs the example code of the README.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE, run } from './tools.mjs';

test('the code of the README runs', async () => {
  const [, code] = /```js\n([^]*?)```/.exec(readFileSync(join(PACKAGE, 'README.md'), 'utf8'));
  // Within the package, which can import itself by its name.
  const file = join(PACKAGE, 'test/readme-code.mjs');
  writeFileSync(file, `${code}console.log(JSON.stringify([signed, headers, request.method, clientId, scopes, expires]));\n`);
  try {
    const [printed, values] = (await run(process.execPath, [file])).stdout.trim().split('\n');
    assert.equal(printed, 'InputError url: expected an absolute URL that starts with http:// or https://, found no scheme');
    const [signed, { authorization }, method, clientId, scopes, expires] = JSON.parse(values);
    assert.match(signed, /public\?bewit=/);
    assert.match(authorization, /^Hawk id="tester"/);
    assert.deepEqual([method, clientId, scopes], ['PUT', 'tester', ['queue:get-artifact:*', 'assume:anonymous']]);
    assert.ok(new Date(expires) > new Date());
  } finally {
    rmSync(file);
  }
});
