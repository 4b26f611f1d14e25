// SIGTERM: everybody is told when to come back, is closed at a steady pace, and nothing is half-written.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compareIds, describeInEachMode, patience, request, Server, sleep, until } from './harness.mjs';
import { Connection, Stream } from './wire.mjs';

const openStreams = (server, count, options) =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const stream = await Stream.open(server, options);
      await stream.waitFor((block) => block.event === 'heartbeat');
      return stream;
    }),
  );

describeInEachMode('drain', (descriptors) => {
  const start = (seconds, more = {}) => Server.start({ descriptors, config: { server: { drain_seconds: seconds, ...more } } });

  test('EveryStreamIsToldADifferentRetryAndEndsWithItsLastChunk', async () => {
    const server = await start(3);
    const streams = await openStreams(server, 40);
    const begin = performance.now();
    server.signal('SIGTERM');
    await Promise.all(streams.map((stream) => stream.waitForEnd(10_000)));

    const retries = new Set();
    for (const stream of streams) {
      const closing = stream.blocks.at(-1);
      assert.equal(closing.event, 'closing');
      assert.deepEqual(JSON.parse(closing.data), { reason: 'drain' });
      assert.equal(closing.id, undefined);
      assert.ok(closing.retry > 0, 'a retry');
      retries.add(closing.retry);
      assert.ok(stream.gracefullyEnded, 'the last chunk');
      assert.equal(stream.connection.error, undefined, 'not a reset');
    }
    assert.ok(retries.size >= 30, `40 streams, ${retries.size} different retries`);

    const times = streams.map((stream) => stream.blocks.at(-1).at - begin).sort((a, b) => a - b);
    assert.ok(times.at(-1) <= 3500 * patience, `the last one ended after ${times.at(-1)} ms`);
    assert.ok(times.at(-1) - times[0] >= 1000, `all were closed within ${times.at(-1) - times[0]} ms`);
    for (let i = 0; i + 20 < times.length; ++i) {
      assert.ok(times[i + 20] - times[i] > 200, 'half of the streams were closed in one go');
    }
    await server.stop();
  });

  test('Http10StreamEndsAfterTheClosingEvent', async () => {
    const server = await start(1);
    const [stream] = await openStreams(server, 1, { version: '1.0' });
    server.signal('SIGTERM');
    await stream.waitForEnd();
    assert.equal(stream.blocks.at(-1).event, 'closing');
    assert.equal(stream.eventReader.rest.length, 0, 'nothing half-written');
    await server.stop();
  });

  test('EventsThatWereAcknowledgedArriveBeforeTheEnd', async () => {
    const server = await start(2);
    const streams = await openStreams(server, 10);
    const ids = [];
    for (let i = 0; i < 50; ++i) ids.push(await server.publish({ data: `${i} ${'x'.repeat(2000)}` }));
    server.signal('SIGTERM');
    await Promise.all(streams.map((stream) => stream.waitForEnd(10_000)));
    for (const stream of streams) {
      assert.deepEqual(stream.events.map((event) => event.id), ids);
      assert.ok(stream.gracefullyEnded);
    }
    await server.stop();
  });

  test('IdleServerStopsAtOnce', async () => {
    const server = await start(20);
    const kept = await Connection.open(server.port); // idle connections do not hold it up
    const begin = performance.now();
    server.signal('SIGTERM');
    await server.stop();
    assert.ok(performance.now() - begin < 3000 * patience);
    kept.close();
  });

  test('ClientThatNeverReadsDoesNotHoldUpTheEnd', async () => {
    const server = await start(2);
    const stuck = await Stream.open(server, { paused: true });
    for (let i = 0; i < 120; ++i) await server.publish({ data: 'x'.repeat(60_000) });
    const begin = performance.now();
    server.signal('SIGTERM');
    await server.stop();
    assert.ok(performance.now() - begin < 8000 * patience, 'it waited for somebody who does not read');
    stuck.close();
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`Second ${signal} stops at once`, async () => {
      const server = await start(60);
      const streams = await openStreams(server, 20);
      server.signal(signal);
      await sleep(300);
      assert.equal(server.status, undefined, 'still draining');
      server.signal(signal);
      await until(() => server.status, 'the process ends', 2000);
      // What a shell makes of a process that a signal ended: the drain was not finished.
      assert.deepEqual(server.status, { code: signal === 'SIGTERM' ? 143 : 130, signal: null });
      streams.forEach((stream) => stream.connection.close());
    });
  }

  test('ReadinessEndsWithTheFirstSignal', async () => {
    const server = await start(3);
    const streams = await openStreams(server, 5);
    assert.equal((await request(`${server.adminUrl}/readyz`)).status, 200);
    assert.equal((await request(`${server.adminUrl}/healthz`)).status, 200);
    server.signal('SIGTERM');
    await until(async () => (await request(`${server.adminUrl}/readyz`)).status === 503, 'not ready any more', 1500);
    assert.equal((await request(`${server.adminUrl}/healthz`)).status, 200, 'but alive');
    streams.forEach((stream) => stream.connection.close());
    await server.stop();
  });

  test('NewProcessTakesOverThePortFirst', async () => {
    const old = await start(2);
    const streams = await openStreams(old, 10);
    const before = await old.publish({ data: 'by the old one' });
    const young = await Server.start({
      descriptors,
      folder: old.folder,
      config: { server: { drain_seconds: 1, listen: [`127.0.0.1:${old.port}`] } },
    });
    old.signal('SIGTERM');
    // Whoever lies in the backlog of the old one when it closes is reset by the kernel (docs/tuning.md), and
    // comes again. Nobody else is turned away, and soon everybody gets the new process.
    let served = 0;
    let resets = 0;
    const askBoth = async () => {
      const answer = await young.post({ data: 'during the takeover' });
      assert.equal(answer.status, 204, answer.text);
      const connection = await Connection.open(young.port);
      connection.write('GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      assert.equal((await connection.answer()).status, 404);
      connection.close();
    };
    try {
      while (!old.status) {
        await askBoth().then(() => ++served, (error) => {
          if ((error.cause ?? error).code !== 'ECONNRESET') throw error;
          ++resets;
        });
        await sleep(20);
      }
    } catch (error) {
      await Promise.all([young.stop(), old.stop()]);
      throw error;
    }
    assert.ok(served > 5);
    assert.ok(resets <= 2, `${resets} resets`);
    for (const stream of streams) {
      await stream.waitForEnd();
      assert.ok(stream.gracefullyEnded);
    }
    const after = await young.publish({ data: 'by the new one' });
    assert.equal(compareIds(before, after), -1, 'IDs grow across the takeover');
    assert.deepEqual(old.status, { code: 0, signal: null }, old.output);
    await young.stop();
    await old.stop();
  });
});
