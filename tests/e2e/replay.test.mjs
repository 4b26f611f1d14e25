// A reconnect at every position of a random history gives exactly the missed events, then goes on live.
//
// RINGCAST_SEED=<number> repeats a run; the seed is printed, and named in each failure.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EventSource } from 'eventsource';

import { compareIds, describeInEachMode, random, Server, sleep, until } from './harness.mjs';
import { CuttingProxy } from './proxy.mjs';
import { Stream } from './wire.mjs';

const seed = Number(process.env.RINGCAST_SEED ?? Math.floor(Math.random() * 1e9));
console.log(`replay: RINGCAST_SEED=${seed}`);

const topicNames = ['a', 'b', 'room/ü 3', 'd'];
const types = [undefined, undefined, 'install', 'tick'];
const pick = (roll, list) => list[Math.floor(roll() * list.length)];

/** What was published, in order: the model that every stream is compared with. */
class History {
  constructor(server, roll) {
    this.server = server;
    this.roll = roll;
    this.events = [];
  }

  async publish(event) {
    const id = await this.server.publish(event);
    const last = this.events.at(-1);
    assert.ok(!last || compareIds(last.id, id) < 0, `${id} comes after ${last?.id}`);
    this.events.push({ id, event: event.event, topic: event.topic, data: event.data });
    return id;
  }

  publishRandom(bytesMax) {
    const { roll } = this;
    const size = Math.floor(roll() ** 2 * bytesMax);
    const data = `${this.events.length}\n${'x'.repeat(size)}${roll() < 0.1 ? '\n\n ü' : ''}`;
    return this.publish({
      data,
      ...(roll() < 0.6 ? { topic: pick(roll, topicNames) } : {}),
      event: pick(roll, types),
    });
  }

  async publishMany(count, bytesMax = 400) {
    for (let i = 0; i < count; ++i) await this.publishRandom(bytesMax);
  }

  /** Publishes all the time while `body` runs. */
  async publishWhile(bytesMax, body) {
    let running = true;
    const publisher = (async () => {
      while (running) {
        await this.publishRandom(bytesMax);
        if (this.roll() < 0.05) await sleep(1); // now a burst, now a drip
      }
    })();
    try {
      await body();
    } finally {
      running = false;
      await publisher;
    }
  }

  /** What a stream with these topics gets after `position`; after nothing when there is none. */
  after(position, topics) {
    const known = this.events.findIndex((event) => event.id === position);
    const start = known >= 0 ? known + 1 : this.events.findIndex((event) => !position || compareIds(event.id, position) > 0);
    if (start < 0) return [];
    return this.events
      .slice(start)
      .filter((event) => !event.topic || topics.includes(event.topic))
      .map(({ id, event, data }) => ({ id, event, data }));
  }

  /** Everything from the event `first` on. */
  from(first, topics) {
    const at = this.events.findIndex((event) => event.id === first);
    assert.ok(at >= 0, `${first} was published`);
    return this.after(this.events[at - 1]?.id, topics);
  }
}

let opened = 0;
/** A raw stream that resumes; by turns with the header and with the query. */
async function resume(server, position, topics) {
  const query = topics.map((topic) => `topic=${encodeURIComponent(topic)}`);
  const headers = {};
  if (++opened % 2 === 0) headers['Last-Event-ID'] = position;
  else query.push(`last_event_id=${position}`);
  const stream = await Stream.open(server, { path: `/events${query.length ? '?' : ''}${query.join('&')}`, headers });
  assert.equal(stream.head.status, 200);
  return Object.assign(stream, { position, topics });
}

const shown = ({ id, event, data }) => ({ id, event, data });
const context = (stream) => `position ${stream.position}, topics [${stream.topics}], seed ${seed}`;

/** Exactly `expected`, after the heartbeat that says where the stream goes on from. */
function checkExact(stream, expected) {
  const [first] = stream.blocks;
  assert.equal(first?.event, 'heartbeat', context(stream));
  assert.equal(first.id, stream.position, context(stream));
  assert.equal(first.retry, 3000, context(stream));
  assert.deepEqual(stream.named('gap'), [], context(stream));
  assert.deepEqual(stream.named('closing'), [], context(stream));
  assert.deepEqual(stream.events.map(shown), expected, context(stream));
}

/** A gap, before everything else; returns what it says. */
function checkGap(stream) {
  const [first, second] = stream.blocks;
  assert.equal(first?.event, 'heartbeat', context(stream));
  assert.equal(first.id, undefined, `a position before a gap: ${context(stream)}`);
  assert.equal(second?.event, 'gap', context(stream));
  assert.equal(second.id, undefined, context(stream));
  assert.equal(stream.named('gap').length, 1, context(stream));
  assert.deepEqual(stream.named('closing'), [], context(stream));
  const report = JSON.parse(second.data);
  assert.deepEqual(Object.keys(report), ['requested', 'oldest', 'newest'], context(stream));
  return report;
}

/** Opens a stream for each position, some at a time. */
async function resumeAll(server, positions, topicsOf) {
  const streams = [];
  for (let i = 0; i < positions.length; i += 50) {
    const some = positions.slice(i, i + 50);
    streams.push(...(await Promise.all(some.map((position) => resume(server, position, topicsOf(position))))));
  }
  return streams;
}

/** An event to everybody; when it is there, all before it must be. */
async function arriveAtTheLast(history, streams) {
  const last = await history.publish({ data: 'the last' });
  const there = (stream) => stream.blocks.at(-1)?.id === last;
  await Promise.all(streams.map((stream) => stream.until(() => there(stream), 'the last event', 10_000)));
}

const closeAll = (streams) => streams.forEach((stream) => stream.close());

/** The position of a stream that has just begun. */
async function floorOf(server) {
  const stream = await Stream.open(server);
  const { id } = await stream.waitFor((block) => block.event === 'heartbeat', 'the first heartbeat');
  stream.close();
  return id;
}

/** Runs `body` with a server of its own and a history from the seed. */
function withServer(descriptors, salt, config, body) {
  return async () => {
    const server = await Server.start({ descriptors, config });
    try {
      await body(server, new History(server, random(seed + salt)));
    } finally {
      await server.stop();
    }
  };
}

/** The bytes of an event in the log: the frame in its chunk. */
function frameBytes({ id, event, data }) {
  const frame = `id: ${id}\n${event ? `event: ${event}\n` : ''}${data.split('\n').map((line) => `data: ${line}\n`).join('')}\n`;
  const bytes = Buffer.byteLength(frame);
  return bytes + bytes.toString(16).length + 4;
}

/** How many of the newest events fit into the history. */
function keptCount(events, limits) {
  let bytes = 0;
  let count = 0;
  while (count < Math.min(events.length, limits.events)) {
    bytes += frameBytes(events[events.length - 1 - count]);
    if (bytes > limits.bytes) break;
    ++count;
  }
  return count;
}

describeInEachMode('replay', (descriptors) => {
  for (const topics of [[], ['a', 'room/ü 3']]) {
    const title = topics.length ? 'WithTopics' : 'WithoutTopics';
    test(
      `ReconnectAtEveryPositionMissesNothing${title}`,
      withServer(descriptors, 1, {}, async (server, history) => {
        const floor = await floorOf(server);
        await history.publishMany(200);
        await history.publish({ data: 'for everybody, so that each stream but the newest misses one' });
        const positions = ['0-0', floor, ...history.events.map((event) => event.id)];
        const streams = await resumeAll(server, positions, () => topics);
        await history.publishMany(15);
        await arriveAtTheLast(history, streams);
        for (const stream of streams) checkExact(stream, history.after(stream.position, topics));
        // Of fewer topics than were published to, so that "exactly" means something.
        assert.ok(history.after(floor, topics).length < history.events.length);
        closeAll(streams);
      }),
    );
  }

  test(
    'ReconnectsWhilePublishingGoesOnMissNothing',
    withServer(descriptors, 2, {}, async (server, history) => {
      const rolls = random(seed + 20); // the publisher takes numbers in between
      const streams = [];
      const left = [];
      await history.publishMany(50);
      await history.publishWhile(1500, async () => {
        for (let i = 0; i < 140; ++i) {
          const newest = history.events.length - 1;
          // Mostly near the head, where replay and live delivery meet.
          const near = rolls() < 0.7;
          const at = near ? newest - Math.floor(rolls() * 6) : Math.floor(rolls() * newest);
          const topics = topicNames.filter(() => rolls() < 0.5);
          streams.push(await resume(server, history.events[at].id, topics));
          if (streams.length < 50) continue;
          const stream = streams.shift();
          stream.close();
          left.push(stream);
        }
      });
      for (const stream of left) {
        checkExact(stream, history.after(stream.position, stream.topics).slice(0, stream.events.length));
      }
      await arriveAtTheLast(history, streams);
      for (const stream of streams) checkExact(stream, history.after(stream.position, stream.topics));
      closeAll(streams);
    }),
  );

  // Once bounded by its bytes and once by its events.
  for (const [name, limits, bytesMax] of [
    ['Bytes', { events: 65_536, bytes: 40_960 }, 1000],
    ['Events', { events: 60, bytes: 1 << 20 }, 300],
  ]) {
    test(
      `PositionsThatAreNoLongerKeptAreGapsWhenThe${name}Wrapped`,
      withServer(descriptors, 3, { history: limits, limits: { event_bytes: 1280 } }, async (server, history) => {
        const { roll } = history;
        const floor = await floorOf(server);
        await history.publishMany(450, bytesMax);
        const kept = keptCount(history.events, limits);
        assert.ok(kept < history.events.length / 3, `${kept} of ${history.events.length} are kept`);
        const firstKept = history.events.length - kept;
        const oldest = history.events[firstKept].id;
        const newest = history.events.at(-1).id;
        const [ms, sequence] = newest.split('-').map(Number);

        const ofEvents = history.events.map((event) => event.id);
        const future = [`${ms}-${sequence + 1}`, `${ms + 60_000}-0`, '18446744073709551615-18446744073709551615'];
        const unknown = [oldest.replace('-', '-99'), history.events[firstKept + 5].id.replace(/-\d+$/, '-777')];
        const unreadable = ['x', '1', '1-', '-1', '1-1-1', '18446744073709551616-0'];
        const positions = ['0-0', '0-1', floor, ...ofEvents, ...future, ...unknown, ...unreadable];
        const topicsOf = () => topicNames.filter(() => roll() < 0.5);
        const streams = await resumeAll(server, positions, topicsOf);

        // Few, or the history would move while it is asked for.
        await history.publishMany(3, 10);
        await arriveAtTheLast(history, streams);
        for (const stream of streams) {
          const { position, topics } = stream;
          const at = ofEvents.indexOf(position);
          if (position === '0-0') {
            checkExact(stream, history.from(oldest, topics));
          } else if (at >= firstKept - 1) {
            // The one before the oldest misses nothing either.
            checkExact(stream, history.after(position, topics));
          } else {
            const report = checkGap(stream);
            const requested = unreadable.includes(position) ? null : position;
            assert.deepEqual(report, { requested, oldest, newest }, context(stream));
            const expected = future.includes(position)
              ? history.after(newest, topics)
              : unknown.includes(position)
                ? history.after(position, topics)
                : history.from(oldest, topics);
            assert.deepEqual(stream.events.map(shown), expected, context(stream));
          }
        }
        closeAll(streams);
      }),
    );
  }

  test(
    'ReconnectsWhileTheHistoryWrapsHaveAllOrAGapFirst',
    withServer(descriptors, 4, { history: { events: 40 }, limits: { event_bytes: 1024 } }, async (server, history) => {
      const rolls = random(seed + 40);
      const streams = [];
      await history.publishMany(60, 100);
      await history.publishWhile(100, async () => {
        for (let i = 0; i < 150; ++i) {
          const at = history.events.length - 1 - Math.floor(rolls() * 60);
          const topics = topicNames.filter(() => rolls() < 0.5);
          streams.push(await resume(server, history.events[at].id, topics));
        }
      });
      await arriveAtTheLast(history, streams);
      let gaps = 0;
      for (const stream of streams) {
        if (stream.named('gap').length === 0) {
          checkExact(stream, history.after(stream.position, stream.topics));
          continue;
        }
        ++gaps;
        const report = checkGap(stream);
        assert.equal(report.requested, stream.position, context(stream));
        assert.ok(compareIds(report.oldest, stream.position) > 0, context(stream));
        assert.ok(compareIds(report.newest, report.oldest) >= 0, context(stream));
        assert.deepEqual(stream.events.map(shown), history.from(report.oldest, stream.topics), context(stream));
      }
      assert.ok(gaps > 0 && gaps < streams.length, `${gaps} gaps of ${streams.length} streams, seed ${seed}`);
      closeAll(streams);
    }),
  );

  test(
    'NpmClientsResumeAtRandomPositionsOverManyCuts',
    withServer(descriptors, 5, { stream: { retry_ms: 20 } }, async (server, history) => {
      const { roll } = history;
      const proxy = await CuttingProxy.start(server.port);
      const cuts = random(seed + 6); // of its own: how often it is asked is a matter of luck
      proxy.cutAfterBytes = () => 600 + Math.floor(cuts() * 20_000);
      const floor = await floorOf(server);
      await history.publishMany(150);
      const clients = [floor, '0-0', ...Array.from({ length: 18 }, () => pick(roll, history.events).id)].map((position) => {
        const topics = topicNames.filter(() => roll() < 0.5);
        const query = topics.map((topic) => `&topic=${encodeURIComponent(topic)}`).join('');
        const source = new EventSource(`${proxy.url}/events?last_event_id=${position}${query}`);
        const client = { position, topics, source, events: [], gaps: 0 };
        for (const type of ['message', 'install', 'tick']) {
          source.addEventListener(type, (event) => {
            client.events.push({ id: event.lastEventId, event: type === 'message' ? undefined : type, data: event.data });
          });
        }
        source.addEventListener('gap', () => ++client.gaps);
        return client;
      });
      try {
        for (let i = 0; i < 15; ++i) {
          await history.publishMany(10);
          await sleep(20);
        }
        const last = await history.publish({ data: 'the last' });
        const waiting = () => clients.filter((client) => client.events.at(-1)?.id !== last);
        await until(() => waiting().length === 0, () => `the last event at ${waiting().map(context)}`, 20_000);
        for (const client of clients) {
          assert.deepEqual(client.events, history.after(client.position, client.topics), context(client));
          assert.equal(client.gaps, 0, context(client));
        }
        assert.ok(proxy.acceptedAt.length > 2 * clients.length, `only ${proxy.acceptedAt.length} connections`);
      } finally {
        clients.forEach((client) => client.source.close());
        await proxy.stop();
      }
    }),
  );
});
