// Compares with npm hawk, with which Taskcluster's own client signs: medians of alternating rounds, so that other load on the
// machine slows both alike. Also measures the first call in a process, which starts the module.
import { execFileSync } from 'node:child_process';
import hawk from 'hawk';
import { bewit, sign } from 'taskcluster-hawk';

const ROUNDS = 300;
const CALLS = 400;
const FIRST_CALLS = 25;

const url =
  'https://tc.example.com/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/public%2Fbuild%2Ftarget.zip';
const credentials = { clientId: 'tester', accessToken: 'no-secret' };
const theirs = { id: 'tester', key: 'no-secret', algorithm: 'sha256' };

/** The functions that are compared, and how many times faster ours must be. */
const PAIRS = {
  header: {
    ours: () => sign({ url, method: 'GET' }, credentials),
    theirs: () => hawk.client.header(url, 'GET', { credentials: theirs }),
    target: 2.5,
  },
  bewit: {
    ours: () => bewit(url, credentials),
    theirs: () => `${url}?bewit=${hawk.client.getBewit(url, { credentials: theirs, ttlSec: 3600 })}`,
    target: 2,
  },
};
/** In milliseconds. */
const FIRST_CALL_TARGET = 8;

const median = (times) => times.toSorted((a, b) => a - b)[times.length >> 1];

/** In microseconds. */
function timeOf(call) {
  const start = performance.now();
  for (let repeat = 0; repeat < CALLS; repeat += 1) call();
  return ((performance.now() - start) * 1000) / CALLS;
}

function compare(name, { ours, theirs, target }) {
  const times = { ours: [], theirs: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    times.ours.push(timeOf(ours));
    times.theirs.push(timeOf(theirs));
  }
  const [our, their] = [median(times.ours), median(times.theirs)];
  // The median ratio of neighbouring rounds, which a busy machine slows alike.
  const ratio = median(times.ours.map((time, round) => times.theirs[round] / time));
  console.log(`${name}: ${our.toFixed(2)} us, npm hawk ${their.toFixed(2)} us: ${ratio.toFixed(1)} times as fast (at least ${target})`);
  return ratio >= target;
}

function compareFirstCall() {
  const code = `
    const { bewit } = await import('taskcluster-hawk');
    const start = performance.now();
    bewit('${url}', ${JSON.stringify(credentials)});
    console.log(performance.now() - start);
  `;
  const run = () => Number(execFileSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: import.meta.dirname }));
  const time = median(Array.from({ length: FIRST_CALLS }, run));
  console.log(`first call: ${time.toFixed(1)} ms (at most ${FIRST_CALL_TARGET})`);
  return time <= FIRST_CALL_TARGET;
}

console.log(`medians of ${ROUNDS} rounds of ${CALLS} calls each, alternating; of ${FIRST_CALLS} first calls`);
const held = [...Object.entries(PAIRS).map(([name, pair]) => compare(name, pair)), compareFirstCall()];
if (held.includes(false)) process.exitCode = 1;
