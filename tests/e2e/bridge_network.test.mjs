// The network between one instance and Redis is cut for half a minute while the other instances go on.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertSame, Cluster, Ledger, repeat } from './bridge.mjs';
import { request, sleep, until } from './harness.mjs';
import { Namespace, whyNoNamespaces } from './network.mjs';
import { Redis } from './redis.mjs';

const skip = whyNoNamespaces() ?? false;

describe('a cut between one instance and Redis', { skip }, () => {
  let namespace;
  let cluster;
  before(async () => {
    // Redis is in the namespace, and each instance has a cable of its own to it.
    namespace = Namespace.create(3);
    const hosts = namespace.cables.map(({ host }) => host);
    const redis = await Redis.start({ prefix: namespace.prefix, host: hosts[2], bind: hosts.join(' ') });
    const config = (i) => ({
      redis: { url: redis.url({ host: hosts[i] }), publish_timeout_seconds: 1 },
      stream: { heartbeat_seconds: 1 },
    });
    cluster = await Cluster.start(2, { redis, config });
  });
  after(async () => {
    try {
      await cluster?.stop();
    } finally {
      namespace?.remove();
    }
  });

  test('CutOfThirtySecondsIsMadeUpForOnceAndInOrder', async () => {
    const { redis, servers } = cluster;
    const streams = await cluster.openAll(3);
    const ledger = new Ledger();
    const client = await redis.client();
    const lonely = await cluster.relay(); // the worst one to lose
    const other = servers.find((server) => server !== lonely);
    const cable = namespace.cables[servers.indexOf(lonely)];
    const theirs = streams.filter((stream) => stream.connection.socket.remotePort === lonely.port);
    const answers = { lonely: [], other: [] };
    const stops = [
      repeat(async (i) => answers.other.push((await ledger.post(other, { data: `other ${i}` })).status), 5),
      repeat(async (i) => answers.lonely.push((await ledger.post(lonely, { data: `lonely ${i}` })).status), 5),
      repeat((i) => ledger.say(client, { data: i % 2 ? 'the same' : `said ${i}` }), 10),
    ];
    const isReady = async (server) => (await request(`${server.adminUrl}/readyz`)).status === 200;
    try {
      await until(() => answers.other.length > 50 && answers.lonely.length > 50, 'events');
      assert.ok(!answers.lonely.includes(503));
      const begin = performance.now();
      namespace.cut(cable);
      await until(async () => !(await isReady(lonely)), 'the lonely one turns red', 10_000);
      assert.equal((await request(`${lonely.adminUrl}/healthz`)).status, 200);
      assert.ok(await isReady(other), 'the other one stays green');
      await until(async () => (await other.metric('ringcast_redis_relay')) === 1, 'the other one relays', 10_000);
      const from = { other: answers.other.length, lonely: answers.lonely.length, seen: theirs[0].events.length };
      await sleep(30_000 - (performance.now() - begin));
      assert.ok(answers.other.slice(from.other).every((status) => status === 204), 'the other one takes all');
      assert.ok(answers.lonely.slice(from.lonely).every((status) => status === 503), 'the lonely one none');
      assert.ok(answers.lonely.length - from.lonely >= 10);
      assert.equal(theirs[0].events.length, from.seen, 'its streams hear nothing');
      namespace.mend(cable);
      const taken = answers.lonely.length;
      await until(() => answers.lonely.slice(taken).filter((status) => status === 204).length > 20, 'the lonely one takes events', 15_000);
      await cluster.settled();
    } finally {
      await Promise.all(stops.map((stop) => stop()));
    }
    await until(async () => (await cluster.sum('ringcast_redis_channel_queue')) === 0, 'nothing waits to be relayed', 10_000);
    await cluster.flush(streams);
    ledger.check(streams[0].events, 'network cut for 30 s');
    assertSame(streams);
    assert.equal(theirs.length, 3);
    assert.equal(await cluster.sum('ringcast_redis_holes_total'), 0);
    assert.equal(await cluster.sum('ringcast_redis_went_backwards_total'), 0);
    assert.ok(ledger.counts.acknowledged > 3000, `${ledger.counts.acknowledged} acknowledged`);
  });
});
