// A client that does not read delays nobody, and loses nothing that it is not told about.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeInEachMode, Server, until } from './harness.mjs';
import { Stream } from './wire.mjs';

// More than the kernel holds for one connection, and many times the history.
const events = 300;
const data = (i) => `${i} ${'x'.repeat(30_000)}`;

describeInEachMode('slow client', (descriptors) => {
  async function withStuckClient(slow_consumer, body) {
    const server = await Server.start({
      descriptors,
      config: { server: { shards: 1 }, history: { events: 1024, bytes: '2MiB' }, stream: { slow_consumer, retry_ms: 100 } },
    });
    const quick = await Stream.open(server);
    const stuck = await Stream.open(server);
    try {
      await quick.waitFor((block) => block.event === 'heartbeat');
      await stuck.waitFor((block) => block.event === 'heartbeat');
      stuck.pause();
      const ids = [];
      let slowest = 0;
      for (let i = 0; i < events; ++i) {
        const begin = performance.now();
        ids.push(await server.publish({ data: data(i) }));
        await quick.waitForCount(i + 1);
        slowest = Math.max(slowest, performance.now() - begin);
      }
      assert.deepEqual(quick.events.map((event) => event.id), ids);
      assert.deepEqual(quick.events.map((event) => event.data), ids.map((_, i) => data(i)));
      assert.ok(slowest < 2000, `an event took ${slowest} ms to the quick client`);
      await body({ server, stuck, ids });
    } finally {
      quick.connection.close();
      stuck.connection.close();
      await server.stop();
    }
  }

  /** The events before the loss are a run from the first one, whole and in order. */
  function assertRun(seen, ids) {
    assert.deepEqual(seen.map((event) => event.id), ids.slice(0, seen.length));
    seen.forEach((event, i) => assert.equal(event.data, data(i)));
  }

  test('ItIsDisconnectedAndResumesWithItsCursor', () =>
    withStuckClient('disconnect', async ({ server, stuck, ids }) => {
      await until(async () => (await server.metric('ringcast_streams_ended_slow_total')) === 1, 'it is given up');
      await until(async () => (await server.metric('ringcast_streams_open')) === 1, 'its place is free');
      assert.equal(await server.metric('ringcast_tail_bytes'), 0, 'what it had not taken is thrown away');
      stuck.resume();
      await stuck.waitForEnd();
      const seen = stuck.events;
      assert.ok(seen.length > 0 && seen.length < events, `${seen.length} events`);
      assertRun(seen, ids);
      for (const closing of stuck.named('closing')) assert.deepEqual(JSON.parse(closing.data), { reason: 'slow' });

      const cursor = seen.at(-1).id;
      const again = await Stream.open(server, { headers: { 'Last-Event-ID': cursor } });
      await again.waitFor((block) => block.id === ids.at(-1), 'the newest event');
      const [gap] = again.named('gap');
      assert.ok(gap, 'what it missed is not kept any more');
      const report = JSON.parse(gap.data);
      assert.equal(report.requested, cursor);
      assert.equal(report.newest, ids.at(-1));
      assert.deepEqual(again.events.map((event) => event.id), ids.slice(ids.indexOf(report.oldest)));
      again.close();
    }));

  test('ItSkipsWithAGapWhereThatIsConfigured', () =>
    withStuckClient('skip', async ({ server, stuck, ids }) => {
      assert.equal(await server.metric('ringcast_streams_open'), 2, 'it stays');
      stuck.resume();
      await stuck.waitFor((block) => block.id === ids.at(-1), 'the newest event', 10_000);
      const gap = stuck.blocks.findIndex((block) => block.event === 'gap');
      assert.ok(gap > 0, 'it is told');
      const seen = stuck.blocks.slice(0, gap).filter((block) => block.event === undefined && block.data !== undefined);
      assertRun(seen, ids);
      const report = JSON.parse(stuck.blocks[gap].data);
      // Its place in the log was overwritten, and with it perhaps the ID that stood there.
      assert.ok([null, seen.at(-1).id].includes(report.requested), report.requested);
      const rest = stuck.blocks.slice(gap + 1).filter((block) => block.event === undefined && block.data !== undefined);
      assert.equal(rest[0].id, report.oldest);
      assert.deepEqual(rest.map((block) => block.id), ids.slice(ids.indexOf(rest[0].id)));

      const id = await server.publish({ data: 'live again' });
      await stuck.waitFor((block) => block.id === id, 'what is published now');
    }));

  test('ItResumesWithoutAGapWhenTheHistoryIsLongEnough', async () => {
    const server = await Server.start({ descriptors, config: { server: { shards: 1 }, history: { bytes: '64MiB' } } });
    const stuck = await Stream.open(server);
    try {
      await stuck.waitFor((block) => block.event === 'heartbeat');
      stuck.pause();
      const ids = [];
      for (let i = 0; i < events; ++i) ids.push(await server.publish({ data: data(i) }));
      assert.ok((await server.metric('ringcast_streams_blocked')) === 1, 'its socket is full');
      stuck.resume();
      await stuck.waitForCount(events);
      assertRun(stuck.events, ids);
      assert.equal(stuck.named('gap').length, 0);
      await until(async () => (await server.metric('ringcast_streams_blocked')) === 0, 'nothing waits any more');
    } finally {
      stuck.connection.close();
      await server.stop();
    }
  });
});
