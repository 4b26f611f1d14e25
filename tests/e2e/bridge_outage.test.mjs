// Redis dies, freezes, is empty or out of memory when it comes back: streams stay open, nothing that was
// acknowledged is lost, nothing is acknowledged that was not taken, and all recovers by itself.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { assertOrdered, assertSame, Ledger, repeat, shown, streamKey, withCluster } from './bridge.mjs';
import { errorOf, request, sleep, until } from './harness.mjs';
import { Connection } from './wire.mjs';

// `always`: what Redis has answered is on its disk. (`everysec` may lose what it has answered itself.)
const durable = { options: { appendonly: 'yes', appendfsync: 'always' } };
const config = { redis: { publish_timeout_seconds: 1 }, stream: { heartbeat_seconds: 1 } };

const statusOf = async (server, path) => (await request(`${server.adminUrl}${path}`)).status;
const ready = async (cluster) => (await Promise.all(cluster.servers.map((server) => statusOf(server, '/readyz')))).every((status) => status === 200);
const noneReady = async (cluster) => (await Promise.all(cluster.servers.map((server) => statusOf(server, '/readyz')))).every((status) => status === 503);
const alive = async (cluster) => (await Promise.all(cluster.servers.map((server) => statusOf(server, '/healthz')))).every((status) => status === 200);

/** Publishers at each instance, one event after the other, until the returned function is called. */
function publishers(cluster, ledger, each = 2) {
  const counts = { answered: 0, unavailable: 0, of: cluster.servers.map(() => 0) };
  const stops = cluster.servers.flatMap((server, k) =>
    Array.from({ length: each }, (_, p) =>
      repeat(async (i) => {
        const answer = await ledger.post(server, { data: `instance ${k}, publisher ${p}, event ${i}` });
        assert.ok(answer, 'the server answers');
        ++counts.answered;
        if (answer.status === 204) ++counts.of[k];
        else ++counts.unavailable;
      }, 3),
    ),
  );
  counts.stop = () => Promise.all(stops.map((stop) => stop()));
  return counts;
}

/** Publishing works again at every instance. */
async function publishingGoesOn(counts) {
  const before = [...counts.of];
  await until(() => counts.of.every((count, k) => count >= before[k] + 20), () => `every instance takes events: ${before} ${counts.of}`, 15_000);
}

describe('outages of Redis', { concurrency: 4 }, () => {
  test('KillAndRestartLosesNothingThatWasAcknowledged', withCluster(2, { config, redis: durable }, async (cluster) => {
    const { redis } = cluster;
    const streams = await cluster.openAll(3);
    const ledger = new Ledger();
    const counts = publishers(cluster, ledger);
    try {
      await publishingGoesOn(counts);
      for (const outageMs of [2500, 0, 700]) {
        const refused = counts.unavailable;
        await redis.kill9();
        if (outageMs > 0) {
          await until(() => noneReady(cluster), 'readiness turns red');
          assert.ok(await alive(cluster), 'liveness stays green');
          await sleep(outageMs);
        }
        if (outageMs > 1000) assert.ok(counts.unavailable > refused, 'publishers are told');
        await redis.restart();
        await publishingGoesOn(counts);
        await until(() => ready(cluster), 'readiness turns green');
      }
    } finally {
      await counts.stop();
    }
    await cluster.flush(streams);
    ledger.check(streams[0].events, 'Redis killed and restarted');
    assertSame(streams);
    assert.ok(ledger.counts.acknowledged > 200, `${ledger.counts.acknowledged} acknowledged`);
    assert.ok(counts.unavailable > 0);
    assert.equal(await cluster.sum('ringcast_redis_went_backwards_total'), 0);
    assert.equal(await cluster.sum('ringcast_redis_holes_total'), 0);
    assert.ok((await cluster.sum('ringcast_redis_reconnects_total')) >= 3 * 3 * 2 - 3, 'every connection is made again');
    await cluster.settled();
  }));

  test('FreezeOfTwentySecondsLosesNothingThatWasAcknowledged', withCluster(2, { config, redis: durable }, async (cluster) => {
    const { redis } = cluster;
    const streams = await cluster.openAll(2);
    const ledger = new Ledger();
    const counts = publishers(cluster, ledger);
    const client = await redis.client();
    const said = [];
    try {
      await publishingGoesOn(counts);
      const begin = performance.now();
      redis.freeze();
      for (let i = 0; i < 50; ++i) said.push(ledger.say(client, { data: `said to the frozen one ${i}` }, Infinity));
      await until(() => noneReady(cluster), 'readiness turns red', 10_000);
      assert.ok(await alive(cluster), 'liveness stays green');
      const refused = counts.unavailable;
      const beats = streams.map((stream) => stream.named('heartbeat').length);
      await sleep(20_000 - (performance.now() - begin));
      assert.ok(await noneReady(cluster));
      assert.ok(await alive(cluster));
      assert.ok(counts.unavailable - refused >= 20, `${counts.unavailable - refused} publishers are told within a second or so`);
      streams.forEach((stream, i) => assert.ok(stream.named('heartbeat').length - beats[i] >= 10, 'heartbeats go on'));
      redis.thaw();
      await publishingGoesOn(counts);
      await until(() => ready(cluster), 'readiness turns green');
    } finally {
      redis.thaw();
      await counts.stop();
    }
    await Promise.all(said);
    await cluster.settled();
    await Promise.all(Array.from({ length: 100 }, (_, i) => ledger.say(client, { data: `said afterwards ${i}` }, 2)));
    await until(() => streams[0].events.filter(({ data }) => data.startsWith('said afterwards')).length === 100, 'the channel works');
    await cluster.flush(streams);
    ledger.check(streams[0].events, 'Redis frozen for 20 s');
    assertSame(streams);
    assert.equal(await cluster.sum('ringcast_redis_went_backwards_total'), 0);
    assert.equal(await cluster.sum('ringcast_redis_holes_total'), 0);
  }));

  // What was asked on the old connection may still be executed when the freeze ends, and must not be asked twice.
  test('FreezeThatEndsBeforeTheDeadlineIsNoErrorAndDoublesNothing', withCluster(2, { config: { redis: { publish_timeout_seconds: 20 } }, redis: durable }, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = new Ledger();
    const counts = publishers(cluster, ledger, 4);
    try {
      await publishingGoesOn(counts);
      for (let round = 0; round < 2; ++round) {
        cluster.redis.freeze();
        await until(() => noneReady(cluster), 'the connections are given up', 10_000);
        await sleep(300);
        cluster.redis.thaw();
        await publishingGoesOn(counts);
      }
    } finally {
      cluster.redis.thaw();
      await counts.stop();
    }
    await cluster.flush(streams);
    ledger.check(streams[0].events, 'Redis frozen, shorter than the deadline');
    assertSame(streams);
    assert.equal(counts.unavailable, 0, 'everybody was answered in the end');
    assert.equal(ledger.counts.acknowledged, ledger.counts.sent);
  }));

  test('RepliesThatAreLostAreNeitherLossesNorDoubles', withCluster(2, { config: { redis: { publish_timeout_seconds: 10 } }, redis: { options: { 'enable-debug-command': 'yes' } } }, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = new Ledger();
    const counts = publishers(cluster, ledger, 4);
    const slow = await cluster.redis.client();
    const client = await cluster.redis.client();
    try {
      for (let round = 0; round < 5; ++round) {
        await publishingGoesOn(counts);
        const ours = (await cluster.redis.clientList()).filter(({ name }) => /^ringcast-(commands|tail)$/.test(name));
        // What arrives while Redis sleeps is executed in one turn, and the answers leave at the end of it: those
        // to the connections that are cut in the same turn are lost.
        const asleep = slow.sendCommand(['DEBUG', 'SLEEP', '0.2']);
        await sleep(100);
        await Promise.all([asleep, ...ours.map(({ id }) => client.sendCommand(['CLIENT', 'KILL', 'ID', id]))]);
      }
      await publishingGoesOn(counts);
    } finally {
      await counts.stop();
    }
    await cluster.flush(streams);
    ledger.check(streams[0].events, 'connections cut');
    assertSame(streams);
    assert.equal(counts.unavailable, 0, 'everybody was answered in the end');
    assert.equal(ledger.counts.acknowledged, ledger.counts.sent);
    assert.ok((await cluster.sum('ringcast_redis_reconnects_total')) >= 20);
  }));

  test('RestartWhileNobodyPublishesIsNotEvenNoticedByStreams', withCluster(2, { config, redis: durable }, async (cluster) => {
    const streams = await cluster.openAll(2);
    for (const round of [0, 1]) {
      for (let i = 0; i < 10; ++i) await cluster.servers[i % 2].publish({ data: `${round} ${i}` });
      const before = await cluster.sum('ringcast_redis_reconnects_total');
      await cluster.redis.restart();
      await until(async () => (await cluster.sum('ringcast_redis_reconnects_total')) >= before + 6, 'all connect again', 10_000);
      await cluster.settled();
    }
    await cluster.flush(streams);
    assertSame(streams);
    assert.equal(streams[0].events.length, 21);
    assert.equal(await cluster.sum('ringcast_redis_went_backwards_total'), 0);
    assert.equal(await cluster.sum('ringcast_redis_holes_total'), 0);
    for (const stream of streams) assertOrdered(stream.blocks.filter(({ event, id }) => id && event !== 'heartbeat'));
  }));

  test('RestartOfARedisThatHoldsNoEventsYetIsNoLoss', withCluster(2, { config }, async (cluster) => {
    const streams = await cluster.openAll();
    await cluster.redis.restart();
    await until(async () => (await cluster.sum('ringcast_redis_reconnects_total')) >= 6, 'all connect again', 10_000);
    await cluster.settled();
    await cluster.flush(streams);
    assertSame(streams);
    assert.equal(streams[0].events.length, 1);
    assert.equal(await cluster.sum('ringcast_redis_went_backwards_total'), 0);
  }));

  test('PublishersOverTheBoundAreRefusedAtOnceWhileRedisIsFrozen', withCluster(1, { config: { ...config, redis: { publish_timeout_seconds: 4 } } }, async (cluster) => {
    const [server] = cluster.servers;
    const connections = [];
    for (let n = 0; n < 2600; n += 100) connections.push(...(await Promise.all(Array.from({ length: 100 }, () => Connection.open(server.port)))));
    cluster.redis.freeze();
    try {
      const body = JSON.stringify({ data: 'waits for Redis' });
      const head = `POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      const begin = performance.now();
      const answers = connections.map(async (connection) => {
        connection.write(head + body);
        const answer = await connection.answer(15_000);
        return { ...answer, ms: performance.now() - begin };
      });
      const early = [];
      for (const answer of answers) answer.then((got) => got.ms < 3000 && early.push(got), () => {});
      await sleep(2000);
      assert.ok(early.length >= 2600 - 2 * 1024 && early.length < 2600, `${early.length} are answered at once`);
      for (const answer of await Promise.all(answers)) {
        assert.equal(answer.status, 503);
        assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
        errorOf(answer);
        assert.ok(answer.ms < 8000, `answered after ${answer.ms} ms`);
      }
    } finally {
      cluster.redis.thaw();
      connections.forEach((connection) => connection.close());
    }
    await cluster.marker(server);
  }));
});

describe('a Redis that does not take events', { concurrency: 2 }, () => {
  const refusedAtOnce = async (server) => {
    const begin = performance.now();
    const answer = await server.post({ data: 'not now' });
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/);
    assert.ok(performance.now() - begin < 800, 'at once');
    assert.match(errorOf(answer), /not taken/);
  };

  test('OutOfMemoryIsSaidAtOnceAndNothingIsLost', withCluster(2, { config }, async (cluster) => {
    const { redis } = cluster;
    const streams = await cluster.openAll();
    const client = await redis.client();
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    for (const server of cluster.servers) await refusedAtOnce(server);
    await client.publish('events', JSON.stringify({ data: 'kept by the relay until there is room' }));
    await sleep(1500);
    assert.ok(await alive(cluster));
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    await streams[0].waitForCount(1, 15_000);
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(streams[0].events.map(({ data }) => data), ['kept by the relay until there is room', 'the last']);
    assert.match(cluster.servers.map((server) => server.output).join(''), /memory/i);
  }));

  test('PrimaryThatBecomesAReplicaIsSaidAndUsedAgainLater', withCluster(2, { config }, async (cluster) => {
    const { redis } = cluster;
    const streams = await cluster.openAll();
    await cluster.servers[0].publish({ data: 'before' });
    await redis.cli('REPLICAOF', '127.0.0.1', '1');
    const [server] = cluster.servers;
    await until(async () => (await server.post({ data: 'not now' })).status === 503, 'it is refused');
    await until(() => noneReady(cluster), 'readiness turns red', 10_000);
    assert.ok(await alive(cluster));
    assert.match(server.output, /replica|read.?only/i);
    await redis.cli('REPLICAOF', 'NO', 'ONE');
    await cluster.settled();
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(streams[0].events.map(({ data }) => data), ['before', 'the last']);
  }));
});

describe('a Redis that lost events', { concurrency: 3 }, () => {
  const backToTheSnapshot = async (redis) => {
    await redis.kill9();
    await redis.restart(); // with the snapshot that was saved before
  };
  for (const [what, lose, kept] of [
    ['FLUSHALL', (redis) => redis.cli('FLUSHALL'), 0],
    ['the stream is deleted', (redis) => redis.cli('DEL', streamKey), 0],
    ['restart without a file', async (redis) => { await redis.kill9(); await redis.restart(); }, 0],
    ['restart from an older snapshot', backToTheSnapshot, 20],
  ]) {
    test(`IsNoticedAndToldAndEventsGoOnWithGrowingIds, ${what}`, withCluster(2, { config }, async (cluster) => {
      const { redis, servers } = cluster;
      const streams = await cluster.openAll(2);
      const before = [];
      const publish = async (count, text) => {
        for (let i = 0; i < count; ++i) before.push(await servers[i % 2].publish({ data: `${text} ${i}` }));
      };
      await publish(20, 'in the snapshot');
      if (kept > 0) await redis.cli('SAVE');
      await publish(20, 'after it');
      await Promise.all(streams.map((stream) => stream.waitForCount(40)));

      await lose(redis);
      // Nobody publishes: it is noticed all the same.
      await until(() => streams.every((stream) => stream.named('gap').length > 0), 'every stream is told', 15_000);
      assert.ok((await cluster.sum('ringcast_redis_went_backwards_total')) >= 1);
      assert.match(servers.map((server) => server.output).join(''), /lost|backwards/i);
      await cluster.settled();

      const later = [];
      for (let i = 0; i < 20; ++i) later.push(await servers[i % 2].publish({ data: `later ${i}` }));
      const client = await redis.client();
      assert.equal(await client.publish('events', JSON.stringify({ data: 'over the channel' })), 2);
      await Promise.all(streams.map((stream) => stream.waitForCount(61)));
      await sleep(2500); // a hole is told once, not whenever somebody looks
      await cluster.flush(streams);
      assertSame(streams, { gaps: 1 });
      const [stream] = streams;
      const gap = stream.blocks.findIndex((block) => block.event === 'gap');
      const place = (id) => stream.blocks.findIndex((block) => block.id === id);
      assert.ok(place(before.at(-1)) < gap && gap < place(later[0]), 'in its place');
      const told = JSON.parse(stream.blocks[gap].data);
      assert.equal(told.requested, before.at(-1));

      // Positions: one after the loss is exact on either instance, also on one that comes later.
      const newcomer = await cluster.add();
      await cluster.settled();
      for (const server of [...servers.slice(0, 2), newcomer]) {
        const resumed = await cluster.open(server, { path: `/events?last_event_id=${later[4]}` });
        const expected = stream.events.map(shown).slice(45);
        await resumed.waitForCount(expected.length);
        assert.deepEqual(resumed.events.map(shown), expected);
        assert.deepEqual(resumed.named('gap'), []);
      }
      // For the newcomer, what was lost is a hole.
      const old = await cluster.open(newcomer, { path: `/events?last_event_id=${before[25]}` });
      await old.waitForCount(22);
      assert.equal(old.named('gap').length, 1);
      assert.deepEqual(old.events.map(shown), stream.events.map(shown).slice(40));
    }));
  }
});
