// The instance that relays the channel dies, is cut off, freezes or leaves in the middle of a burst. The law: what
// an instance heard that stood by is received, once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { assertSame, channel, Ledger, repeat, withCluster } from './bridge.mjs';
import { until } from './harness.mjs';

const open = (streams) => streams.filter((stream) => !stream.connection.closed);
const lengthOf = (stream) => stream.blocks.length;

/**
 * Publishes on the channel, some 4,000 messages a second, before, while and after `disturb` does its work.
 * `event(i)` is what is published; `posting` publishes something by `POST` in between.
 */
async function burst(cluster, { event, posting, disturb, batch = 20, everyMs = 5 }) {
  const ledger = new Ledger();
  const client = await cluster.redis.client();
  let said = 0;
  const endOfTalk = repeat(() => Promise.all(Array.from({ length: batch }, () => ledger.say(client, event(said++)))), everyMs);
  const endOfPosts = posting ? repeat((i) => posting(ledger, i), 2) : async () => {};
  const more = (count) => {
    const from = said;
    return until(() => said >= from + count, 'the burst goes on', 20_000);
  };
  try {
    await more(batch * 20);
    await disturb(more);
    await more(batch * 20);
  } finally {
    await Promise.all([endOfTalk(), endOfPosts()]);
  }
  return ledger;
}

/** Everything that was sent has come, and comes no more; the streams of all instances that are left agree. */
async function assertAllReceived(cluster, ledger, streams, what) {
  const left = open(streams);
  assert.ok(left.length >= cluster.servers.length, 'a stream of each instance that is left');
  const { acknowledged } = ledger.counts;
  await left[0].until(() => lengthOf(left[0]) > acknowledged, `${acknowledged} events`, 10_000).catch(() => {}); // `check` says what is missing
  await until(async () => (await cluster.sum('ringcast_redis_channel_queue')) === 0, 'nothing waits to be relayed', 10_000);
  await cluster.flush(left);
  ledger.check(left[0].events, what);
  assertSame(left);
}

const assertNothingUnheard = ({ counts }) => assert.equal(counts.acknowledged, counts.sent, 'somebody heard every message, every time');

describe('the relay is killed in a burst', () => {
  const killTwice = (cluster) => async (more) => {
    await cluster.kill(await cluster.relay());
    await more(200);
    await cluster.kill(await cluster.relay());
    await cluster.relay();
  };
  const killOnce = (cluster) => async () => {
    await cluster.kill(await cluster.relay());
    await cluster.relay();
  };

  test('NothingIsLostOrDoubledOfNumberedMessages', withCluster(3, {}, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = await burst(cluster, { event: (i) => ({ data: `message ${i}` }), disturb: killTwice(cluster) });
    await assertAllReceived(cluster, ledger, streams, 'relay killed twice, numbered');
    assertNothingUnheard(ledger);
    const [stream] = open(streams);
    const numbers = stream.events.filter(({ data }) => data.startsWith('message')).map(({ data }) => Number(data.slice(8)));
    const late = numbers.findIndex((number, i) => number !== i);
    assert.equal(late, -1, `the order of the channel is kept: ${numbers.slice(Math.max(0, late - 3), late + 5)}`);
  }));

  test('NothingIsLostOrDoubledOfIdenticalMessages', withCluster(3, {}, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = await burst(cluster, { event: () => ({ event: 'tick', data: 'always the same' }), disturb: killTwice(cluster) });
    await assertAllReceived(cluster, ledger, streams, 'relay killed twice, identical');
    assertNothingUnheard(ledger);
  }));

  test('NothingIsLostOrDoubledWhenPostsHaveTheSameContent', withCluster(3, {}, async (cluster) => {
    const streams = await cluster.openAll();
    let posts = 0;
    const ledger = await burst(cluster, {
      event: (i) => ({ data: `one of ${i % 3}` }),
      // To all, so that some of them are in the hands of the one that dies.
      posting: async (ledger_, i) => {
        const answers = await Promise.all(cluster.servers.map((server) => ledger_.post(server, { data: `one of ${i % 3}` })));
        posts += answers.filter((answer) => answer?.status === 204).length;
      },
      disturb: killOnce(cluster),
    });
    await assertAllReceived(cluster, ledger, streams, 'relay killed, POSTs of the same content');
    assert.ok(posts > 100, `${posts} POSTs`);
    assert.ok(ledger.counts.sent - ledger.counts.acknowledged <= 1, 'only what the dead one was asked is unknown');
  }));
});

describe('subscriptions are cut', () => {
  async function cut(cluster, server) {
    const connection = await cluster.connectionOf(server, 'channel');
    assert.equal(await cluster.redis.cli('CLIENT', 'KILL', 'ID', connection.id), '1');
    await until(async () => ((await cluster.connectionOf(server, 'channel'))?.id ?? connection.id) !== connection.id, 'it subscribes again');
  }

  test('CutOfTheRelayOrOfAStandbyInABurstLosesAndDoublesNothing', withCluster(3, {}, async (cluster) => {
    const streams = await cluster.openAll();
    const relays = new Set();
    const ledger = await burst(cluster, {
      event: (i) => ({ data: i % 2 ? 'the same' : `message ${i}` }),
      disturb: async (more) => {
        for (let i = 0; i < 6; ++i) {
          const relay = await cluster.relay();
          relays.add(relay);
          await cut(cluster, i % 3 === 2 ? cluster.servers.find((server) => server !== relay) : relay);
          await more(100);
          await cluster.settled();
        }
      },
    });
    await assertAllReceived(cluster, ledger, streams, 'subscriptions cut one by one');
    assertNothingUnheard(ledger);
    assert.ok(relays.size > 1, 'the role of the relay moves');
    assert.ok((await cluster.sum('ringcast_redis_takeovers_total')) >= 4);
  }));

  for (const count of [1, 3]) {
    test(`WhatWasHeardBeforeAllSubscriptionsAreCutIsNotLost, instances: ${count}`, withCluster(count, {}, async (cluster) => {
      const streams = await cluster.openAll();
      const ledger = new Ledger();
      const client = await cluster.redis.client();
      for (let round = 0; round < 5; ++round) {
        await Promise.all(Array.from({ length: 300 }, (_, i) => ledger.say(client, { data: i % 2 ? 'the same' : `${round} ${i}` })));
        const killed = await client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
        assert.equal(killed, count);
        // Heard by nobody, or by those who do not stand yet.
        await Promise.all(Array.from({ length: 100 }, (_, i) => ledger.say(client, { data: `unheard ${round} ${i}` }, Infinity)));
        await until(async () => (await cluster.sum('ringcast_redis_reconnects_total')) >= (round + 1) * count, 'all subscribe again');
        await cluster.settled();
      }
      await assertAllReceived(cluster, ledger, streams, `all subscriptions cut, ${count} instances`);
      assert.equal(ledger.counts.acknowledged, 1500);
    }));
  }
});

describe('the relay cannot follow', () => {
  const limit = { options: { 'client-output-buffer-limit': ['pubsub', '2mb', '2mb', '5'] } };
  const overLimit = (cluster) => (cluster.redis.output.match(/overcoming of output buffer limits/g) ?? []).length;

  test('FrozenRelayWhoseOutputBufferOverflowsAddsNothingWhenItWakesUp', withCluster(3, { redis: limit, config: { history: { bytes: '128MiB' } } }, async (cluster) => {
    const streams = await cluster.openAll();
    const relay = await cluster.relay();
    const filler = 'x'.repeat(8_000);
    try {
      const ledger = await burst(cluster, {
        event: (i) => ({ data: i % 2 ? `the same ${filler}` : `${i} ${filler}` }),
        batch: 2,
        disturb: async (more) => {
          relay.child.kill('SIGSTOP');
          const others = cluster.servers.filter((server) => server !== relay);
          const isRelay = async () => (await Promise.all(others.map((server) => server.metric('ringcast_redis_relay')))).includes(1);
          await until(isRelay, 'another one takes over', 10_000);
          await until(() => overLimit(cluster) > 0, 'Redis gives the frozen one up', 20_000);
          await more(50);
          relay.child.kill('SIGCONT');
          await cluster.settled();
        },
      });
      await assertAllReceived(cluster, ledger, streams, 'relay frozen, output buffer overflown');
      assertNothingUnheard(ledger);
      assert.equal(overLimit(cluster), 1, 'only the frozen one');
    } finally {
      relay.child.kill('SIGCONT');
    }
  }));

  test('MessagesGoOnWhenAllSubscribersWereOverTheLimit', withCluster(2, { redis: limit }, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = new Ledger();
    const client = await cluster.redis.client();
    const texts = Array.from({ length: 200 }, (_, i) => `${i} ${'x'.repeat(50_000)}`);
    texts.forEach((data) => ledger.sent.set(data, 1));
    // All in one turn of Redis, so that nobody can read in between.
    const script = 'for _, message in ipairs(ARGV) do redis.call("PUBLISH", KEYS[1], message) end';
    await client.eval(script, { keys: [channel], arguments: texts.map((data) => JSON.stringify({ data })) });
    await until(() => overLimit(cluster) === 2, () => `both are over the limit: ${cluster.redis.output}`);
    // What they count themselves may still be from before: they notice later than Redis does.
    await until(async () => (await client.pubSubNumSub(channel))[channel] === 2, 'both have subscribed again');
    await cluster.settled();
    await Promise.all(Array.from({ length: 500 }, (_, i) => ledger.say(client, { data: `after it ${i}` }, 2)));
    await assertAllReceived(cluster, ledger, streams, 'all subscribers over the limit');
    assert.equal(ledger.counts.acknowledged, 500);
  }));
});

describe('instances come and go in a burst', () => {
  test('OneThatCameLaterTakesOverFromThoseThatDieTogether', withCluster(2, {}, async (cluster) => {
    const streams = await cluster.openAll();
    const ledger = await burst(cluster, {
      event: (i) => ({ data: i % 2 ? 'the same' : `message ${i}` }),
      disturb: async (more) => {
        const old = [...cluster.servers];
        const newcomer = await cluster.add();
        await cluster.settled();
        streams.push(await cluster.open(newcomer, { path: `/events?last_event_id=${streams[0].blocks[0].id}` }));
        await more(200);
        await Promise.all(old.map((server) => cluster.kill(server)));
        await cluster.relay();
      },
    });
    await assertAllReceived(cluster, ledger, streams, 'both old instances killed at once');
    assertNothingUnheard(ledger);
  }));

  test('RollingRestartLosesAndDoublesNothing', withCluster(2, {}, async (cluster) => {
    const [first] = await cluster.openAll();
    const floor = first.blocks[0].id;
    const ledger = await burst(cluster, {
      event: (i) => ({ data: i % 2 ? 'the same' : `message ${i}` }),
      disturb: async (more) => {
        for (let i = 0; i < 4; ++i) {
          const relay = await cluster.relay();
          await cluster.add();
          await cluster.settled();
          cluster.servers.splice(cluster.servers.indexOf(relay), 1);
          const stopped = performance.now();
          await relay.stop();
          await cluster.relay();
          assert.ok(performance.now() - stopped < 2900, 'the lease is given back, nobody waits for its end');
          await more(100);
        }
      },
    });
    const streams = await Promise.all(cluster.servers.map((server) => cluster.open(server, { path: `/events?last_event_id=${floor}` })));
    await assertAllReceived(cluster, ledger, streams, 'rolling restart');
    assertNothingUnheard(ledger);
  }));
});
