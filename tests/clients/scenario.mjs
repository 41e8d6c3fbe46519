// The official JavaScript client, behind the proxy and without credentials of its own: what a task
// does, as in scenario.py. Prints what it saw as JSON.
//
//   scenario.mjs <URL of the proxy> <root URL of the deployment behind it>
import { Writable } from 'node:stream';
import taskcluster from 'taskcluster-client';
import urls from 'taskcluster-lib-urls';

const ARTIFACT = 'project/harbour/a report.txt';
const CONTENT = 'The crane has moved.\n';
const NAMESPACE = 'project.harbour.latest';
const QUEUE = 'harbour/crane';
const SECRET = 'project/harbour/key';

const [proxy, deployment] = process.argv.slice(2);
// None of these has credentials: the proxy signs.
const [auth, index, queue, secrets] = ['Auth', 'Index', 'Queue', 'Secrets'].map(
  (service) => new taskcluster[service]({ rootUrl: proxy, credentials: {} }),
);
const saw = { currentScopes: (await auth.currentScopes()).scopes };
saw.testAuthenticateGet = (await auth.testAuthenticateGet()).clientId;
const test = { clientScopes: ['test:*'], requiredScopes: ['test:a'] };
saw.testAuthenticate = (await auth.testAuthenticate(test)).scopes;
saw.insufficientScopes = await refusal(auth.testAuthenticate({ ...test, requiredScopes: ['another'] }));

const taskId = taskcluster.slugid();
saw.taskId = taskId;
saw.createTask = (await queue.createTask(taskId, task())).status.state;
saw.task = (await queue.task(taskId)).metadata.name;
saw.status = (await queue.status(taskId)).status.state;
const group = await queue.listTaskGroup((await queue.task(taskId)).taskGroupId);
saw.listTaskGroup = group.tasks.map(({ status }) => status.taskId);
const worker = { workerGroup: 'quay', workerId: 'w1', tasks: 1 };
saw.claimWork = (await queue.claimWork(QUEUE, worker)).tasks.map(({ status }) => status.taskId);

const { putUrl } = await queue.createArtifact(taskId, 0, ARTIFACT, {
  storageType: 's3',
  contentType: 'text/plain',
  expires: taskcluster.fromNowJSON('1 hour'),
});
const headers = { 'Content-Type': 'text/plain' };
saw.upload = (await fetch(putUrl, { method: 'PUT', body: CONTENT, headers })).status;
saw.getArtifact = await text((await queue.getArtifact(taskId, 0, ARTIFACT)).url);
saw.redirected = await text(queue.buildUrl(queue.getLatestArtifact, taskId, ARTIFACT));
saw.downloaded = [await download({ runId: 0 }), await download({})];
saw.reportCompleted = (await queue.reportCompleted(taskId, 0)).status.state;

await secrets.set(SECRET, { secret: { key: 'ü' }, expires: taskcluster.fromNowJSON('1 hour') });
saw.secret = (await secrets.get(SECRET)).secret;
saw.secrets = (await secrets.list()).secrets;
await secrets.remove(SECRET);
saw.removed = await refusal(secrets.get(SECRET));

const expires = taskcluster.fromNowJSON('1 hour');
await index.insertTask(NAMESPACE, { taskId, rank: 1, data: {}, expires });
saw.findTask = (await index.findTask(NAMESPACE)).taskId;

const route = `task/${taskId}/runs/0/artifacts/${encodeURIComponent(ARTIFACT)}`;
const url = urls.api(deployment, 'queue', 'v1', route);
saw.unsigned = (await fetch(url)).status;
const signed = await fetch(`${proxy}/bewit`, { method: 'POST', body: url, redirect: 'manual' });
const signedUrl = await signed.text();
saw.bewit = {
  status: signed.status,
  'location is the body': signed.headers.get('Location') === signedUrl,
  content: await text(signedUrl),
};
console.log(JSON.stringify(saw));

function task() {
  return {
    taskQueueId: QUEUE,
    created: taskcluster.fromNowJSON(),
    deadline: taskcluster.fromNowJSON('1 hour'),
    payload: {},
    metadata: {
      name: 'move the crane',
      description: 'to the left',
      owner: 'harbour@example.com',
      source: 'https://example.com/harbour',
    },
  };
}

async function text(url) {
  return (await fetch(url)).text();
}

async function download(run) {
  const pieces = [];
  const write = (piece, encoding, done) => done(null, pieces.push(piece));
  const streamFactory = () => new Writable({ write });
  const contentType = await taskcluster.downloadArtifact({ taskId, name: ARTIFACT, queue, streamFactory, ...run });
  return [Buffer.concat(pieces).toString(), contentType];
}

async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return [error.statusCode, error.code];
  }
}
