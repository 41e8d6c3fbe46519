// Sends the requests of a task through the proxy with the official JavaScript client, which has no
// credentials, as in scenario.py. Prints the results as JSON.
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
// The clients have no credentials: the proxy signs.
const [auth, index, queue, secrets] = ['Auth', 'Index', 'Queue', 'Secrets'].map(
  (service) => new taskcluster[service]({ rootUrl: proxy, credentials: {} }),
);
const results = { currentScopes: (await auth.currentScopes()).scopes };
results.testAuthenticateGet = (await auth.testAuthenticateGet()).clientId;
const test = { clientScopes: ['test:*'], requiredScopes: ['test:a'] };
results.testAuthenticate = (await auth.testAuthenticate(test)).scopes;
results.insufficientScopes = await refusal(auth.testAuthenticate({ ...test, requiredScopes: ['another'] }));

const taskId = taskcluster.slugid();
results.taskId = taskId;
results.createTask = (await queue.createTask(taskId, task())).status.state;
results.task = (await queue.task(taskId)).metadata.name;
results.status = (await queue.status(taskId)).status.state;
const group = await queue.listTaskGroup((await queue.task(taskId)).taskGroupId);
results.listTaskGroup = group.tasks.map(({ status }) => status.taskId);
const worker = { workerGroup: 'quay', workerId: 'w1', tasks: 1 };
results.claimWork = (await queue.claimWork(QUEUE, worker)).tasks.map(({ status }) => status.taskId);

const { putUrl } = await queue.createArtifact(taskId, 0, ARTIFACT, {
  storageType: 's3',
  contentType: 'text/plain',
  expires: taskcluster.fromNowJSON('1 hour'),
});
const headers = { 'Content-Type': 'text/plain' };
results.upload = (await fetch(putUrl, { method: 'PUT', body: CONTENT, headers })).status;
results.getArtifact = await text((await queue.getArtifact(taskId, 0, ARTIFACT)).url);
results.redirected = await text(queue.buildUrl(queue.getLatestArtifact, taskId, ARTIFACT));
results.downloaded = [await download({ runId: 0 }), await download({})];
results.reportCompleted = (await queue.reportCompleted(taskId, 0)).status.state;

await secrets.set(SECRET, { secret: { key: 'ü' }, expires: taskcluster.fromNowJSON('1 hour') });
results.secret = (await secrets.get(SECRET)).secret;
results.secrets = (await secrets.list()).secrets;
await secrets.remove(SECRET);
results.removed = await refusal(secrets.get(SECRET));

const expires = taskcluster.fromNowJSON('1 hour');
await index.insertTask(NAMESPACE, { taskId, rank: 1, data: {}, expires });
results.findTask = (await index.findTask(NAMESPACE)).taskId;

const route = `task/${taskId}/runs/0/artifacts/${encodeURIComponent(ARTIFACT)}`;
const url = urls.api(deployment, 'queue', 'v1', route);
results.unsigned = (await fetch(url)).status;
const signed = await fetch(`${proxy}/bewit`, { method: 'POST', body: url, redirect: 'manual' });
const signedUrl = await signed.text();
results.bewit = {
  status: signed.status,
  'location is the body': signed.headers.get('Location') === signedUrl,
  content: await text(signedUrl),
};
console.log(JSON.stringify(results));

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
  const chunks = [];
  const write = (chunk, encoding, done) => done(null, chunks.push(chunk));
  const streamFactory = () => new Writable({ write });
  const contentType = await taskcluster.downloadArtifact({ taskId, name: ARTIFACT, queue, streamFactory, ...run });
  return [Buffer.concat(chunks).toString(), contentType];
}

async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return [error.statusCode, error.code];
  }
}
