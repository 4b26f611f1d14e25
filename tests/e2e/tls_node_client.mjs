// A program as others write it: Node's fetch, and the npm package `eventsource`. It trusts what NODE_EXTRA_CA_CERTS names.
// Publishes what comes on its input, prints each event as a line of JSON.
import readline from 'node:readline';

import { EventSource } from 'eventsource';

const url = process.argv[2];
const print = (value) => console.log(JSON.stringify(value));

const source = new EventSource(`${url}/events`);
source.addEventListener('heartbeat', () => print({ heartbeat: true }));
source.addEventListener('message', (event) => print({ id: event.lastEventId, data: event.data }));
source.addEventListener('closing', (event) => {
  print({ closing: JSON.parse(event.data).reason });
  source.close();
});

const input = readline.createInterface({ input: process.stdin });
for await (const line of input) {
  const answer = await fetch(`${url}/publish`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: line });
  print({ published: answer.headers.get('event-id'), status: answer.status });
}
