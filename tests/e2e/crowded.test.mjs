// What happens to the others when there are few slots, many idle clients, or many small windows.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeInEachMode, request, Server, until } from './harness.mjs';
import { Connection, Stream } from './wire.mjs';

describeInEachMode('crowded', (descriptors) => {
  const small = { shards: 1, streams_per_shard: 100 };

  test('EachAddressAnswersHoweverFewSlotsThereAre', async () => {
    const server = await Server.start({
      descriptors,
      config: { server: { ...small, listen: ['127.0.0.1:0', '127.0.0.2:0'] } },
    });
    try {
      const urls = [...server.output.matchAll(/listening on (http:\/\/[\d.]+:\d+)/g)].map((match) => match[1]);
      assert.equal(urls.length, 2, server.output);
      for (const url of urls) assert.equal((await request(`${url}/`)).status, 200, url);
    } finally {
      await server.stop();
    }
  });

  test('IdleConnectionsGiveWayToNewOnesAndToStreams', async () => {
    const server = await Server.start({ descriptors, config: { server: small } });
    const idle = [];
    const streams = [];
    try {
      for (let i = 0; i < 70; ++i) {
        const connection = await Connection.open(server.port);
        idle.push(connection);
        connection.write('GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n');
        await connection.waitFor(/\}/);
      }
      assert.equal((await request(`${server.url}/`)).status, 200, 'a newcomer is answered');
      for (let i = 0; i < 100; ++i) {
        const stream = await Stream.open(server);
        streams.push(stream);
        await stream.waitFor((block) => block.event === 'heartbeat', `stream ${i + 1}`);
      }
      const over = await request(`${server.url}/events`);
      assert.equal(over.status, 503, 'one more is told that there is no room');
    } finally {
      for (const each of idle) each.close();
      for (const each of streams) each.close();
      await server.stop();
    }
  });

  test('EveryPlaceIsTakenBeforeAnybodyIsRefused', async () => {
    // The shards of one CPU accept from the same sockets: one that is full leaves newcomers to the others.
    const shards = 3;
    const each = 40;
    const server = await Server.start({ descriptors, cpus: '0', config: { server: { shards, streams_per_shard: each, listen: ['127.0.0.1:0', '127.0.0.2:0'] } } });
    const idle = [];
    const streams = [];
    const openOne = async () => {
      const stream = await Stream.open(server);
      streams.push(stream);
      await stream.until(() => stream.blocks.length > 0, `stream ${streams.length}`);
      return stream.named('refused').length ? 'refused' : 'open';
    };
    try {
      for (let i = 0; i < 2 * each; ++i) {
        idle.push(await Connection.open(server.port));
        idle[i].write('GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n');
        await idle[i].waitFor(/\}/);
      }
      // At once and one by one.
      const first = await Promise.all(Array.from({ length: 2 * each }, openOne));
      for (let i = 2 * each; i < shards * each; ++i) first.push(await openOne());
      assert.deepEqual(first, Array(shards * each).fill('open'));
      assert.equal(await openOne(), 'refused', 'then there is no room');
      streams.pop().close();
      for (const [, url] of server.output.matchAll(/listening on (http:\/\/[\d.]+:\d+)/g)) {
        for (let i = 0; i < 3; ++i) assert.equal((await request(`${url}/`)).status, 200, `other requests are answered, ${url}`);
      }

      for (let round = 0; round < 3; ++round) {
        for (const stream of streams.splice(0, each)) stream.close();
        await until(async () => (await server.metric('ringcast_streams_open')) === (shards - 1) * each, 'a third is free');
        // The accepts with which somebody was to be refused take the next ones, one for each shard.
        let refused = 0;
        for (let open = 0; open < each;) {
          if ((await openOne()) === 'open') {
            ++open;
          } else {
            streams.pop().close();
            assert.ok(++refused <= shards, `round ${round}, after ${open} newcomers`);
          }
        }
        assert.equal(await openOne(), 'refused');
        streams.pop().close();
      }
    } finally {
      for (const open of [...idle, ...streams]) open.close();
      await server.stop();
    }
  });

  test('LargeEventsCutNobodyWhoseWindowIsFull', async () => {
    const server = await Server.start({ descriptors, config: { server: { shards: 1 } } });
    const streams = [];
    try {
      for (let i = 0; i < 150; ++i) {
        const stream = await Stream.open(server);
        streams.push(stream);
        await stream.waitFor((block) => block.event === 'heartbeat');
        stream.pause();
      }
      const ids = [];
      for (let i = 0; i < 40; ++i) ids.push(await server.publish({ data: `${i} ${'x'.repeat(60_000)}` }));
      await until(async () => (await server.metric('ringcast_streams_blocked')) === streams.length, 'every window is full', 10_000);
      for (const stream of streams) stream.resume();
      for (const stream of streams) {
        await stream.waitForCount(ids.length);
        assert.deepEqual(stream.events.map((event) => event.id), ids);
        assert.ok(stream.events.every((event) => event.data.length > 60_000));
      }
      assert.equal(await server.metric('ringcast_streams_open'), streams.length);
    } finally {
      for (const each of streams) each.close();
      await server.stop();
    }
  });
});
