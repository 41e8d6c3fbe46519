// Creates a task without the scopes for it, with the official JavaScript client, as in refused.py. Prints
// the error as JSON.
//
//   refused.mjs <URL of the proxy>
import taskcluster from 'taskcluster-client';

const [proxy] = process.argv.slice(2);
const queue = new taskcluster.Queue({ rootUrl: proxy, credentials: {} });
const task = {
  taskQueueId: 'harbour/crane',
  created: taskcluster.fromNowJSON(),
  deadline: taskcluster.fromNowJSON('1 hour'),
  payload: { command: 'x'.repeat(100_000) },
  metadata: {
    name: 'move the crane',
    description: 'to the left',
    owner: 'harbour@example.com',
    source: 'https://example.com/harbour',
  },
};
try {
  await queue.createTask(taskcluster.slugid(), task);
} catch (error) {
  console.log(JSON.stringify([error.statusCode, error.code, error.body.message]));
}
