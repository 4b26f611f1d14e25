// A channel of better-sse that everybody is subscribed to, on Node's own HTTP server: no framework in between. It has no
// replay of its own. Node runs with its own flags: a larger or smaller young generation (--max-semi-space-size) made
// streams or deliveries dearer.
import { createServer } from 'node:http';

import { createChannel, createSession } from 'better-sse';

const port = Number(process.argv[2]);
const channel = createChannel();
let lastId = 0;

const asItIs = (text) => text;
const options = {
  // What arrives has been made by one publisher and is one line; so nothing is quoted and searched for line ends again
  // for each of the sessions. With the defaults a delivery takes a third more.
  serializer: asItIs,
  sanitizer: asItIs,
  // No heartbeats, as in the other servers. The default is a timer for each session.
  keepAlive: null,
};

const readAll = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};

const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    const data = await readAll(request);
    lastId += 1;
    // Not session.batch with one buffer for all: its promise for each session costs more than writing the frame again.
    channel.broadcast(data, 'message', { eventId: String(lastId) });
    response.writeHead(204).end();
    return;
  }
  const session = await createSession(request, response, options);
  channel.register(session);
});
// Both bound how long a request may take to arrive; every now and then all connections would be looked through for that.
server.headersTimeout = 0;
server.requestTimeout = 0;
// For storms: the default is a backlog of 511.
server.listen({ host: '127.0.0.1', port, backlog: 16384 });
