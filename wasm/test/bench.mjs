// Compares with npm hawk, the JavaScript that Taskcluster's own client signs with. Both do the same
// work in turns, so that what else the machine does slows both.
import hawk from 'hawk';
import { bewit, sign } from 'taskcluster-hawk';

const url =
  'https://tc.example.com/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/public%2Fbuild%2Ftarget.zip';
const credentials = { clientId: 'tester', accessToken: 'no-secret' };
const theirs = { id: 'tester', key: 'no-secret', algorithm: 'sha256' };

const PAIRS = {
  bewit: [
    () => bewit(url, credentials),
    () => `${url}?bewit=${hawk.client.getBewit(url, { credentials: theirs, ttlSec: 3600 })}`,
  ],
  sign: [
    () => sign({ url, method: 'GET' }, credentials),
    () => hawk.client.header(url, 'GET', { credentials: theirs }),
  ],
};

/** Least time of a call in microseconds: what was measured beyond it was something else. */
function fastest(functions) {
  const best = functions.map(() => Infinity);
  for (let round = 0; round < 40; round += 1) {
    functions.forEach((call, index) => {
      const start = performance.now();
      for (let repeat = 0; repeat < 2000; repeat += 1) call();
      best[index] = Math.min(best[index], (performance.now() - start) / 2);
    });
  }
  return best;
}

let slow = false;
for (const [name, functions] of Object.entries(PAIRS)) {
  const [ours, hawks] = fastest(functions);
  const ratio = hawks / ours;
  slow ||= ratio < 2;
  console.log(`${name}: ${ours.toFixed(2)} us, npm hawk ${hawks.toFixed(2)} us, ${ratio.toFixed(1)} times faster`);
}
if (slow) {
  console.error('expected to be at least 2 times faster');
  process.exitCode = 1;
}
