// Clients that send many requests before they read an answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeInEachMode, sharedServer, until } from './harness.mjs';
import { Connection } from './wire.mjs';

const CONNECTIONS = 4;
const BATCH = 250;
const BATCHES = 40;
const UNCOUNTED = 2; // of a batch

describeInEachMode('pipelining', (descriptors) => {
  const shared = sharedServer({ descriptors });

  // Receives come in while answers go out, for seconds: a shard once span in the ring for ever after
  // some thousands of them.
  test('EveryPipelinedRequestIsAnswered', async () => {
    const request = 'GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(BATCH);
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        const connection = await Connection.open(shared.server.port);
        let answers = 0;
        connection.onBytes = (part) => {
          connection.parts.length = 0;
          for (let at = part.indexOf('HTTP/1.1 404'); at >= 0; at = part.indexOf('HTTP/1.1 404', at + 1)) ++answers;
        };
        for (let batch = 1; batch <= BATCHES; ++batch) {
          connection.write(request);
          // A status line may be cut by the end of a piece, and goes uncounted.
          await until(() => answers >= batch * (BATCH - UNCOUNTED), () => `answers to batch ${batch}, ${answers} so far`);
        }
        connection.close();
      }),
    );
    // The last ones may have been left by a client that had counted enough.
    assert.ok((await shared.server.metric('ringcast_requests_total')) >= CONNECTIONS * (BATCH - UNCOUNTED) * BATCHES);
  });
});
