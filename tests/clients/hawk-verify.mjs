// Signs and verifies with npm hawk, as Taskcluster's auth service does: reads one question per line from
// stdin and writes one response per line to stdout, both JSON.
//
// { check: 'header', id, key, now, method, url, authorization }   -> { id } or { error }
// { check: 'bewit', id, key, now, method, url }                   -> { id } or { error }
// { sign: 'header', id, key, now, method, url, nonce, ext }       -> { authorization }
// { sign: 'bewit', id, key, now, url, ttl, ext }                  -> { bewit }
// { parse: url }                                                  -> { url }, as fetch would send it
import hawk from 'hawk';
import { createInterface } from 'node:readline';

const SKEW_SECONDS = 15 * 60; // the auth service's

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await respond(JSON.parse(line))));
}

async function respond(question) {
  if (question.parse) return { url: new URL(question.parse).href };
  hawk.utils.setTimeFunction(() => question.now * 1000);
  const credentials = { id: question.id, key: question.key, algorithm: 'sha256' };
  if (question.check) {
    const authenticate = question.check === 'bewit' ? hawk.uri.authenticate : hawk.server.authenticate;
    try {
      const lookup = (id) => (id === credentials.id ? credentials : null);
      const result = await authenticate(request(question), lookup, { timestampSkewSec: SKEW_SECONDS });
      return { id: (result.artifacts ?? result.attributes).id };
    } catch (error) {
      if (!error.isBoom) throw error;
      return { error: description(error.output.payload) };
    }
  }
  const { method, url, now: timestamp, nonce, ttl: ttlSec, ext } = question;
  return question.sign === 'bewit'
    ? { bewit: hawk.uri.getBewit(url, { credentials, ttlSec, ext }) }
    : { authorization: hawk.client.header(url, method, { credentials, timestamp, nonce, ext }).header };
}

// The request as Node's server passes it on, with the target and the Host header as they were sent.
function request({ method, url, authorization }) {
  const [, scheme, host, target] = /^(https?):\/\/([^/]*)(.*)$/.exec(url);
  return { method, url: target, headers: { host, authorization }, connection: { encrypted: scheme === 'https' } };
}

// The message of the auth service for this error.
function description({ error, message }) {
  return message === error ? error : `${error}: ${message}`;
}
