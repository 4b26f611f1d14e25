// A client may go on at any instance, from any position that Redis still holds, and misses nothing.
//
// RINGCAST_SEED=<number> repeats the random choices; the seed is printed, and named in each failure.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertOrdered, assertSame, channel, Cluster, Ledger, shown, streamKey, withCluster } from './bridge.mjs';
import { scratchFolder } from './identity.mjs';
import { compareIds, random, request, sleep, until } from './harness.mjs';
import { Stream } from './wire.mjs';

const seed = Number(process.env.RINGCAST_SEED ?? Math.floor(Math.random() * 1e9));
console.log(`bridge_resume: RINGCAST_SEED=${seed}`);

const smallHistory = { history: { events: 64 } };
const gapOf = (stream) => JSON.parse(stream.named('gap')[0].data);
const at = (id, topics = []) => ({ path: `/events?last_event_id=${id}${topics.map((topic) => `&topic=${topic}`).join('')}` });

/** Opens a stream; tries again as long as it is refused for want of room, as clients do. */
async function openInTheEnd(cluster, server, options) {
  return until(
    async () => {
      const stream = await cluster.open(server, options);
      await stream.until(() => stream.head.status !== 200 || stream.blocks.length > 0, 'the first answer');
      if (stream.head.status === 200 && !stream.named('refused').length) return stream;
      assert.match(stream.head.headers['retry-after'] ?? '1', /^[1-9]\d*$/);
      stream.connection.close();
      await sleep(50);
      return false;
    },
    'the stream is taken',
    15_000,
  );
}

/** Goes from instance to instance, from the last event that it has seen. */
class Nomad {
  constructor(cluster, name, roll, position) {
    Object.assign(this, { cluster, name, roll, position, events: [], moves: 0, instances: new Set(), refused: 0 });
  }

  pick(list) {
    return list[Math.floor(this.roll() * list.length)];
  }

  /** Stays at one instance for so many events, or until it has seen the last; then it leaves, cleanly or not. */
  async visit(events, isLast) {
    const server = this.pick(this.cluster.servers);
    const header = this.roll() < 0.5;
    const asked = this.position;
    const stream = await Stream.open(server, header ? { headers: { 'Last-Event-ID': asked } } : at(asked));
    try {
      const what = `${events} events for ${this.name} after ${asked}, seed ${seed}`;
      await stream.until(
        // A heartbeat may be the last ID: its event came in the visit before, ahead of the answer to its publisher.
        () => stream.head.status !== 200 || stream.events.length >= events || stream.blocks.some(isLast) || stream.named('refused').length,
        what,
        20_000,
      );
      if (stream.head.status !== 200 || stream.named('refused').length) {
        ++this.refused;
        await sleep(20);
        return;
      }
      const [first] = stream.blocks;
      assert.equal(first.event, 'heartbeat', what);
      assert.equal(first.id, asked, what);
      assert.deepEqual(stream.named('gap'), [], what);
      assert.deepEqual(stream.named('closing'), [], what);
      this.events.push(...stream.events.map(shown));
      this.position = stream.blocks.findLast((block) => block.id !== undefined).id;
      ++this.moves;
      this.instances.add(server);
    } finally {
      if (this.roll() < 0.3) stream.connection.reset();
      else stream.close();
    }
  }
}

/** Nomads wander while 5,000 events are published; `rest` is what each does between two visits. */
async function wander(cluster, { visits, rest, what }) {
  const roll = random(seed);
  const [reference] = await cluster.openAll();
  const floor = reference.blocks[0].id;
  const ledger = new Ledger();
  const client = await cluster.redis.client();
  let last;
  const nomads = Array.from({ length: 4 }, (_, i) => new Nomad(cluster, `${i}`, random(seed + i), floor));
  const isLast = ({ id }) => last !== undefined && id === last;
  const wandering = nomads.map(async (nomad) => {
    while (!last || nomad.events.at(-1)?.id !== last) {
      await nomad.visit(1 + Math.floor(nomad.roll() ** 3 * visits), isLast);
      if (!last) await rest(nomad, reference);
    }
  });
  const failed = Promise.all(wandering);
  failed.catch(() => {});

  for (let n = 0; n < 5000; n += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => {
      const event = { data: `${n + i}`, ...(roll() < 0.3 && { event: 'tick' }) };
      return roll() < 0.3 ? ledger.say(client, event, 3) : ledger.post(cluster.servers[Math.floor(roll() * 3)], event);
    }));
    await sleep(Math.floor(roll() * 60));
  }
  await reference.until(() => reference.blocks.length > 5000, '5,000 events', 20_000);
  last = await cluster.marker();
  await failed;
  await reference.waitFor(isLast);

  ledger.check(reference.events, what);
  assert.equal(reference.events.length, 5001);
  const wanted = reference.events.map(shown);
  for (const nomad of nomads) {
    assert.deepEqual(nomad.events, wanted, `nomad ${nomad.name}, ${nomad.moves} moves, seed ${seed}`);
    assert.equal(nomad.instances.size, 3, 'it has been everywhere');
  }
  const moves = nomads.reduce((sum, nomad) => sum + nomad.moves, 0);
  console.log(`${what}: ${moves} moves, ${nomads.reduce((sum, nomad) => sum + nomad.refused, 0)} refused`);
  return moves;
}

describe('moving between instances', () => {
  test('ClientThatMovesAtRandomSeesEachOfFiveThousandEventsOnce', withCluster(3, {}, async (cluster) => {
    const moves = await wander(cluster, { what: 'moving', visits: 80, rest: () => {} });
    assert.ok(moves > 200, `${moves} moves`);
  }));

  test('ClientThatMovesSeesEachEventOnceWhenItsPositionIsOnlyInRedis', withCluster(3, { config: smallHistory }, async (cluster) => {
    // It stays away until the log of an instance has forgotten its position.
    const rest = async (nomad, reference) => {
      if (nomad.roll() < 0.5) return;
      const behind = reference.blocks.length + 65 + Math.floor(nomad.roll() * 300);
      await until(() => reference.blocks.length >= Math.min(behind, 5000), 'the others go on', 20_000);
    };
    const moves = await wander(cluster, { what: 'moving, small history', visits: 400, rest });
    assert.ok(moves > 40, `${moves} moves`);
    const pages = await cluster.sum('ringcast_redis_history_pages_total');
    assert.ok(pages > 40, `${pages} pages of history`);
  }));
});

describe('positions that only Redis holds', () => {
  let cluster;
  let wanted;
  const roll = random(seed + 100);
  const topics = [undefined, 'a', 'b'];
  const count = 2000;

  before(async () => {
    cluster = await Cluster.start(2, { config: smallHistory });
    const [reference] = await cluster.openAll(1, { path: '/events?topic=a&topic=b' });
    for (let n = 0; n < count; n += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => {
        const topic = topics[Math.floor(roll() * 3)];
        return cluster.servers[i % 2].publish({ data: `${topic ?? 'all'} ${n + i}`, ...(topic && { topic }) });
      }));
    }
    await reference.waitForCount(count);
    wanted = reference.events.map(shown);
    reference.close();
  });
  after(() => cluster?.stop());

  const after_ = (id, of) => wanted.filter((event) => compareIds(event.id, id) > 0 && (event.data.startsWith('all') || of.includes(event.data[0])));

  test('EverythingIsReplayedFromZero', async () => {
    for (const server of cluster.servers) {
      const stream = await cluster.open(server, at('0-0', ['a', 'b']));
      await stream.waitForCount(count, 20_000);
      assert.equal(stream.blocks[0].event, 'heartbeat');
      assert.equal(stream.blocks[0].id, '0-0');
      assert.deepEqual(stream.named('gap'), []);
      assert.deepEqual(stream.events.map(shown), wanted);
      stream.close();
    }
  });

  test('EventsOfOtherTopicsAreLeftOut', async () => {
    for (const asked of [[], ['a'], ['b'], ['c']]) {
      const position = wanted[0].id;
      const expected = after_(position, asked);
      assert.ok(expected.length > count / 5 && expected.length < count * 0.8);
      const stream = await cluster.open(cluster.servers[0], at(position, asked));
      await stream.waitForCount(expected.length, 20_000);
      const last = await cluster.servers[1].publish({ topic: 'elsewhere', data: 'nobody asked' });
      assert.match(last, /-/);
      await sleep(100);
      assert.deepEqual(stream.events.map(shown), expected, `topics ${asked}`);
      assert.deepEqual(stream.named('gap'), []);
      stream.close();
    }
  });

  test('TwoHundredStreamsCatchUpAtOnceWhilePublishingGoesOn', async () => {
    const before = await cluster.sum('ringcast_redis_history_pages_total');
    const [reference] = await cluster.openAll();
    // By a process of its own: this one is busy with reading.
    const live = Array.from({ length: 300 }, (_, i) => JSON.stringify({ data: `all live ${i}` }));
    const publishing = cluster.redis.publishFromPython(channel, live, 5);
    await reference.waitForCount(1);
    const streams = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const from = count - 100 - Math.floor(roll() * 500);
      const asked = ['a', 'b'].filter(() => roll() < 0.5);
      const stream = await openInTheEnd(cluster, cluster.servers[i % 2], at(wanted[from].id, asked));
      return Object.assign(stream, { from: wanted[from].id, asked });
    }));
    for (const stream of streams) await stream.until(() => stream.events.length >= after_(stream.from, stream.asked).length, 'what was before', 20_000);
    const meanwhile = reference.events.length;
    await publishing;
    await reference.waitForCount(300, 20_000);
    const published = reference.events.map(shown);
    const last = published.at(-1).id;
    for (const stream of streams) {
      await stream.waitFor((block) => block.id === last, 'the last event', 20_000);
      const context = `after ${stream.from}, topics ${stream.asked}, seed ${seed}`;
      assert.equal(stream.blocks[0].id, stream.from, context);
      assert.deepEqual(stream.named('gap'), [], context);
      assert.deepEqual(stream.events.map(shown), [...after_(stream.from, stream.asked), ...published], context);
      stream.close();
    }
    assert.ok(meanwhile > 5, `${meanwhile} events meanwhile`);
    assert.ok((await cluster.sum('ringcast_redis_history_pages_total')) - before >= 200);
    wanted.push(...published);
  });

  test('PositionsThatNeverWereOrAreNewerThanTheNewestAreGaps', async () => {
    const oldest = wanted[0].id;
    const unknown = [wanted[700].id.replace(/-\d+$/, '-77777'), '1-1'];
    const newer = [(ms, sequence) => `${ms}-${sequence + 1}`, (ms) => `${ms + 3_600_000}-0`, () => '18446744073709551615-18446744073709551615'];
    const unreadable = ['x', '1-', '18446744073709551616-0'];
    for (const asked of [...unknown, ...newer, ...unreadable]) {
      const newest = (await cluster.redis.cli('XREVRANGE', streamKey, '+', '-', 'COUNT', 1)).split('\n')[0];
      const position = newer.includes(asked) ? asked(...newest.split('-').map(Number)) : asked;
      const stream = await openInTheEnd(cluster, cluster.servers[1], at(position, ['a', 'b']));
      await stream.waitFor((block) => block.event === 'gap', `the gap for ${position}`);
      assert.equal(stream.blocks[0].event, 'heartbeat');
      assert.equal(stream.blocks[0].id, undefined, `no position before a gap: ${position}`);
      assert.equal(stream.blocks[1].event, 'gap');
      assert.equal(gapOf(stream).requested, unreadable.includes(position) ? null : position);
      const id = await cluster.servers[0].publish({ topic: 'a', data: `after the gap for ${position}` });
      await stream.waitFor((block) => block.id === id, 'what comes next', 10_000);
      assert.equal(stream.named('gap').length, 1, position);
      assertOrdered(stream.events);
      if (position === unknown[0]) {
        const expected = after_(position, ['a', 'b']);
        assert.deepEqual(stream.events.map(shown).slice(0, expected.length), expected);
      } else if (newer.includes(asked)) {
        assert.equal(stream.events.length, 1, 'what was before is not told again');
      } else if (position === '1-1') {
        assert.equal(stream.events[0].id, oldest);
        assert.equal(gapOf(stream).oldest, oldest);
      }
      stream.close();
    }
  });
});

describe('history that Redis has trimmed', () => {
  const config = { ...smallHistory, redis: { max_events: 200 } };

  test('PositionThatWasTrimmedIsOneGapAndThenAllThatIsThere', withCluster(2, { config }, async (cluster) => {
    const [reference] = await cluster.openAll();
    for (let n = 0; n < 1000; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => cluster.servers[i % 2].publish({ data: `${n + i}` })));
    await reference.waitForCount(1000);
    const events = reference.events.map(shown);
    const client = await cluster.redis.client();
    const kept = (await client.xRange(streamKey, '-', '+')).map(({ id }) => id);
    assert.ok(kept.length >= 200 && kept.length < 500, `${kept.length} are kept`);
    const first = events.length - kept.length;
    assert.equal(events[first].id, kept[0]);

    for (const [position, isGap] of [
      [events[0].id, true],
      [events[10].id, true],
      [events[first - 2].id, true],
      [events[first].id, false],
      [events[first + 1].id, false],
      ['0-0', false],
    ]) {
      const stream = await cluster.open(cluster.servers[1], at(position));
      const expected = isGap || position === '0-0' ? events.slice(first) : events.filter(({ id }) => compareIds(id, position) > 0);
      await stream.waitForCount(expected.length, 10_000);
      assert.deepEqual(stream.events.map(shown), expected, position);
      assert.equal(stream.named('gap').length, isGap ? 1 : 0, position);
      if (isGap) {
        assert.equal(stream.blocks[0].id, undefined);
        assert.equal(stream.blocks[1].event, 'gap');
        assert.deepEqual(gapOf(stream), { requested: position, oldest: kept[0], newest: events.at(-1).id });
      }
      stream.close();
    }
  }));

  test('StreamWhoseHistoryIsTrimmedWhileItReadsIsToldAndGoesOn', withCluster(2, { config: smallHistory }, async (cluster) => {
    const [server] = cluster.servers;
    const [reference] = await cluster.openAll();
    const floor = reference.blocks[0].id;
    const text = 'x'.repeat(16_000);
    for (let n = 0; n < 1000; n += 20) await Promise.all(Array.from({ length: 20 }, (_, i) => server.publish({ data: `${n + i} ${text}` })));
    // It has asked, and takes what is sent as slowly as it can: 16 MB do not fit into its socket.
    const slow = await cluster.open(server, { ...at(floor), paused: true });
    await until(async () => (await server.metric('ringcast_redis_history_pages_total')) > 0, 'the first page');
    await sleep(300);
    assert.equal(await cluster.redis.cli('XTRIM', streamKey, 'MAXLEN', 20), '980');
    slow.resume();
    const id = await server.publish({ data: 'the last' });
    await Promise.all([slow, reference].map((stream) => stream.waitFor((block) => block.id === id, 'the end of it', 15_000)));
    const events = reference.events.map(shown);
    assert.equal(slow.named('gap').length, 1, JSON.stringify(slow.named('gap')));
    const hole = slow.blocks.findIndex((block) => block.event === 'gap');
    const isEvent = (block) => block.data !== undefined && !['heartbeat', 'gap'].includes(block.event);
    const [before, behind] = [slow.blocks.slice(0, hole), slow.blocks.slice(hole)].map((blocks) => blocks.filter(isEvent).map(shown));
    assert.ok(before.length > 0, 'something came before');
    assert.deepEqual(before, events.slice(0, before.length));
    assert.deepEqual(behind, events.slice(980));
  }));
});

describe('old positions while Redis is away', () => {
  // 64 connections in their request phase: half of them may wait for old events.
  test('LeaveHalfOfTheConnectionsToOthers', withCluster(1, { config: { ...smallHistory, server: { shards: 1, streams_per_shard: 200 } } }, async (cluster) => {
    const [server] = cluster.servers;
    const [reference] = await cluster.openAll();
    const floor = reference.blocks[0].id;
    for (let i = 0; i < 100; ++i) await server.publish({ data: `${i}` });
    await reference.waitForCount(100);
    await cluster.redis.cli('CLIENT', 'PAUSE', 2500, 'ALL');
    const streams = await Promise.all(Array.from({ length: 50 }, () => Stream.open(server, { ...at(floor), paused: true })));
    for (const stream of streams) stream.resume();
    const refused = () => streams.filter((stream) => stream.named('refused').length === 1);
    await until(() => refused().length === 18, () => `18 of 50 refused, not ${refused().length}`);
    assert.equal(await server.metric('ringcast_streams_catching_up'), 32);
    assert.equal((await request(`${server.url}/`)).status, 200, 'others are served');
    for (const stream of streams.filter((each) => !refused().includes(each))) {
      await stream.waitForCount(100, 10_000);
      assert.deepEqual(stream.events.map(shown), reference.events.map(shown));
    }
    assert.equal(await server.metric('ringcast_streams_catching_up'), 0);
  }));

  test('AreRefusedWithARetryAndServedWhenItIsBack', withCluster(2, { config: { ...smallHistory, stream: { retry_ms: 500 } } }, async (cluster) => {
    const [server] = cluster.servers;
    const [reference, other] = await cluster.openAll();
    const floor = reference.blocks[0].id;
    for (let n = 0; n < 300; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => server.publish({ data: `${n + i}` })));
    await reference.waitForCount(300);
    const events = reference.events.map(shown);
    cluster.redis.freeze();
    try {
      // Programs are told with a status, or as browsers are: a stream that says so and ends.
      const begin = performance.now();
      const streams = await Promise.all([
        Stream.open(server, at(floor)),
        Stream.open(server, { ...at(floor), headers: { 'User-Agent': 'Mozilla/5.0', 'Sec-Fetch-Mode': 'cors' } }),
        Stream.open(cluster.servers[1], at(events[3].id)),
      ]);
      for (const stream of streams) {
        if (stream.head.status === 200) {
          const { data } = await stream.waitFor((block) => block.event === 'refused', 'the refusal', 15_000);
          assert.notEqual(JSON.parse(data).reason, '');
          assert.ok(stream.blocks.some((block) => block.retry > 0), 'when to come back');
          await stream.waitForEnd();
        } else {
          assert.equal(stream.head.status, 503);
          assert.match(stream.head.headers['retry-after'] ?? '', /^[1-9]\d*$/);
        }
        assert.deepEqual(stream.events, []);
        stream.connection.close();
      }
      assert.ok(performance.now() - begin < 10_000, 'they are not left waiting');
      assert.ok((await cluster.sum('ringcast_redis_history_refused_total')) >= 3);

      // Whoever is near the head needs no Redis.
      const near = await cluster.open(server, at(events[290].id));
      await near.waitForCount(9);
      assert.deepEqual(near.events.map(shown), events.slice(291));
    } finally {
      cluster.redis.thaw();
    }
    const back = await openInTheEnd(cluster, server, at(floor));
    await back.waitForCount(300);
    assert.deepEqual(back.events.map(shown), events);
    await cluster.flush([reference, other, back]);
    assertSame([reference, other, back]);
  }));

  // Shorter than the time that Redis is given for a page.
  test('AreAnsweredWhenTheServerStops', withCluster(1, { config: { ...smallHistory, server: { drain_seconds: 1 } } }, async (cluster) => {
    const [server] = cluster.servers;
    const [reference] = await cluster.openAll();
    const floor = reference.blocks[0].id;
    for (let i = 0; i < 100; ++i) await server.publish({ data: `${i}` });
    await reference.waitForCount(100);
    cluster.redis.freeze();
    try {
      const streams = await Promise.all(Array.from({ length: 3 }, () => cluster.open(server, { ...at(floor), paused: true })));
      await until(async () => (await server.metric('ringcast_streams_catching_up')) === 3, 'all wait for a page');
      server.signal('SIGTERM');
      for (const stream of streams) {
        stream.resume();
        const { data } = await stream.waitFor((block) => block.event === 'refused', 'the refusal');
        assert.deepEqual(JSON.parse(data), { reason: 'the server is stopping' });
        assert.ok(stream.blocks.some((block) => block.retry > 0), 'when to come back');
        await stream.waitForEnd();
        assert.ok(stream.gracefullyEnded);
      }
      await reference.waitFor((block) => block.event === 'closing', 'the others are told too');
    } finally {
      cluster.redis.thaw();
    }
  }));
});

describe('rooms in old history', () => {
  const scratch = scratchFolder();
  after(() => scratch.remove());

  test('ARoomOfAnotherUserIsNotReplayed', async () => {
    const secret = 'y'.repeat(48);
    const config = { ...smallHistory, auth: { secret_file: scratch.write('jwt.secret', secret) } };
    await withCluster(2, { config }, async (cluster) => {
      for (const server of cluster.servers) server.secret = secret;
      const client = await cluster.redis.client();
      const reader = await cluster.open(cluster.servers[0], { headers: cluster.servers[0].bearer('ann') });
      const floor = (await reader.waitFor((block) => block.event === 'heartbeat')).id;
      await Promise.all(Array.from({ length: 600 }, (_, i) => client.publish(channel, JSON.stringify({ topic: i % 2 ? 'user/ann' : 'user/bob', data: `${i}` }))));
      await reader.waitForCount(300);
      assert.ok(reader.events.every(({ data }) => Number(data) % 2 === 1));
      for (const [user, parity] of [['ann', 1], ['bob', 0], ['eve', -1]]) {
        const stream = await openInTheEnd(cluster, cluster.servers[1], { ...at(floor), headers: cluster.servers[1].bearer(user) });
        const own = parity < 0 ? [] : Array.from({ length: 300 }, (_, i) => `${2 * i + parity}`);
        const id = await client.xAdd(streamKey, '*', { data: `the end for ${user}` });
        await stream.waitFor((block) => block.id === id, 'the end', 10_000);
        assert.deepEqual(stream.events.map(({ data }) => data).filter((data) => !data.startsWith('the end')), own, user);
        assert.deepEqual(stream.named('gap'), []);
      }
    })();
  });
});
