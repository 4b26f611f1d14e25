// stream_sends_per_second: over the rate events wait and leave together; none is dropped or moved.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compareIds, describeInEachMode, patience, Server, sleep, until } from './harness.mjs';
import { Stream } from './wire.mjs';

describeInEachMode('pacing', (descriptors) => {
  async function withServer(config, body) {
    const server = await Server.start({ descriptors, config: { stream: { heartbeat_seconds: 0 }, ...config } });
    const streams = [];
    const open = async (options) => {
      const stream = await Stream.open(server, options);
      streams.push(stream);
      await stream.waitFor((block) => block.event === 'heartbeat');
      return stream;
    };
    try {
      await body(server, open);
    } finally {
      streams.forEach((stream) => stream.connection.close());
      await server.stop();
    }
  }

  const ids = (stream) => stream.events.map((event) => event.id);

  /** Publishes one event after the other for a while; returns the IDs. */
  async function publishFor(server, ms, topics = ['']) {
    const sent = [];
    for (const begin = performance.now(); performance.now() - begin < ms; ) {
      const topic = topics[sent.length % topics.length];
      const data = `${sent.length}`;
      sent.push({ id: await server.publish({ data, ...(topic && { topic }) }), topic, data });
      await sleep(2);
    }
    return sent;
  }

  /** Groups of events that arrived with less than `gapMs` between one and the next. */
  function groups(stream, gapMs) {
    const times = stream.events.map((event) => event.at);
    return times.filter((at, i) => i === 0 || at - times[i - 1] >= gapMs).length;
  }

  test('EventsLeaveTogetherAtTheRateInOrderAndNoneIsDropped', () =>
    withServer({ limits: { stream_sends_per_second: 5 } }, async (server, open) => {
      const streams = [];
      for (let i = 0; i < 6; ++i) streams.push(await open({ path: ['/events', '/events?topic=a', '/events?topic=a&topic=b'][i % 3] }));
      const sendsBefore = await server.metric('ringcast_sends_total');
      const begin = performance.now();
      const sent = await publishFor(server, 2000, ['', 'a', 'b']);
      const last = await server.publish({ data: 'the last' });
      await Promise.all(streams.map((stream) => stream.waitFor((block) => block.id === last, 'the last')));
      const seconds = (performance.now() - begin) / 1000;
      const sends = (await server.metric('ringcast_sends_total')) - sendsBefore;

      assert.ok(sent.length > 100, `only ${sent.length} events`);
      streams.forEach((stream, i) => {
        const topics = [[''], ['', 'a'], ['', 'a', 'b']][i % 3];
        const expected = sent.filter((event) => topics.includes(event.topic)).map((event) => event.id);
        assert.deepEqual(ids(stream), [...expected, last]);
        assert.ok(groups(stream, 50) >= 3, 'all of them at once');
      });
      // One at once, and one for each 200 ms since.
      const most = streams.length * (Math.ceil(seconds * 5) + 1);
      assert.ok(sends <= most, `${sends} sends in ${seconds} s, at most ${most}`);
      assert.ok(sends >= most / 3, `${sends} sends: they wait longer than they must`);
    }));

  test('LoneEventsLeaveAtOnce', () =>
    withServer({ limits: { stream_sends_per_second: 2 } }, async (server, open) => {
      const stream = await open();
      const delays = [];
      for (let i = 0; i < 4; ++i) {
        await sleep(600); // more than the interval
        const begin = performance.now();
        const id = await server.publish({ data: 'x' });
        delays.push((await stream.waitFor((block) => block.id === id)).at - begin);
      }
      delays.sort((a, b) => a - b);
      assert.ok(delays[1] < 150 * patience, `${delays} ms`);
    }));

  test('StreamWithoutNewsIsNotHeldUpByOthersThatWait', () =>
    withServer({ limits: { stream_sends_per_second: 1 } }, async (server, open) => {
      const busy = await open({ path: '/events?topic=busy' });
      const calm = await open({ path: '/events?topic=calm' });
      await sleep(1100); // since the head of the calm one
      await server.publish({ topic: 'busy', data: '1' });
      const second = await server.publish({ topic: 'busy', data: '2' });
      const begin = performance.now();
      const id = await server.publish({ topic: 'calm', data: 'now' });
      const { at } = await calm.waitFor((block) => block.id === id);
      assert.ok(at - begin < 500 * patience, `${at - begin} ms`);
      await busy.waitFor((block) => block.id === second);
      assert.deepEqual(busy.events.map((event) => event.data), ['1', '2']);
    }));

  test('ReplayIsWholeAndGoesOnLive', () =>
    withServer({ limits: { stream_sends_per_second: 5 } }, async (server, open) => {
      const before = await publishFor(server, 300);
      const all = await open({ path: '/events?last_event_id=0-0' });
      const half = await open({ headers: { 'Last-Event-ID': before[before.length >> 1].id } });
      const after = await publishFor(server, 500);
      const last = after.at(-1).id;
      await Promise.all([all, half].map((stream) => stream.waitFor((block) => block.id === last)));
      const every = [...before, ...after].map((event) => event.id);
      assert.deepEqual(ids(all), every);
      assert.deepEqual(ids(half), every.slice((before.length >> 1) + 1));
      assert.deepEqual([...all.named('gap'), ...half.named('gap')], []);
    }));

  test('HeartbeatsComeInSilenceAndNeverOvertakeWhatWaits', () =>
    withServer({ limits: { stream_sends_per_second: 2 }, stream: { heartbeat_seconds: 0.2 } }, async (server, open) => {
      const stream = await open();
      await stream.until(() => stream.named('heartbeat').length >= 4, 'heartbeats in silence');
      const sent = await publishFor(server, 1500);
      await stream.waitFor((block) => block.id === sent.at(-1).id && block.event === undefined);
      await stream.until(() => stream.blocks.at(-1).event === 'heartbeat', 'a heartbeat after the last event');
      assert.deepEqual(ids(stream), sent.map((event) => event.id));
      // The position of a heartbeat is that of the event in front of it, always.
      stream.blocks.forEach((block, i) => {
        if (i > 0 && block.event === 'heartbeat') assert.equal(block.id, stream.blocks[i - 1].id, `block ${i}`);
      });
    }));

  test('DrainDeliversWhatWaitsBeforeTheEnd', async () => {
    const server = await Server.start({
      descriptors,
      config: { server: { drain_seconds: 4 }, limits: { stream_sends_per_second: 1 } },
    });
    const streams = await Promise.all(Array.from({ length: 5 }, () => Stream.open(server)));
    await Promise.all(streams.map((stream) => stream.waitFor((block) => block.event === 'heartbeat')));
    const sent = [];
    for (let i = 0; i < 30; ++i) sent.push(await server.publish({ data: `${i}` }));
    assert.ok(streams.some((stream) => stream.events.length < 30), 'nothing waits');
    server.signal('SIGTERM');
    await Promise.all(streams.map((stream) => stream.waitForEnd(8000)));
    for (const stream of streams) {
      assert.deepEqual(ids(stream), sent);
      assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason: 'drain' });
      assert.ok(stream.gracefullyEnded);
      stream.close();
    }
    await server.stop();
  });

  // Events that a paced stream has not been sent may not be overwritten: publishers feel it.
  test('BurstLargerThanTheHistoryHoldsPublishersBackAndLosesNothing', () =>
    withServer({ limits: { stream_sends_per_second: 4 }, history: { events: 64 } }, async (server, open) => {
      const streams = [await open(), await open(), await open({ path: '/events?topic=t' })];
      const sent = new Map();
      const statuses = new Set();
      const begin = performance.now();
      const publishers = Array.from({ length: 40 }, async (_, which) => {
        for (let i = 0; i < 6; ++i) {
          const data = `${which}.${i}`;
          await until(async () => {
            const answer = await server.post({ data, ...(which % 2 && { topic: 't' }) });
            statuses.add(answer.status);
            if (answer.status === 204) sent.set(answer.headers['event-id'], data);
            else assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
            return answer.status === 204;
          }, 'its place', 20_000);
        }
      });
      await Promise.all(publishers);
      const last = await server.publish({ data: 'the last' });
      await Promise.all(streams.map((stream) => stream.waitFor((block) => block.id === last, 'the last', 20_000)));
      // 240 events, at most 32 of them ahead of a stream, four times a second.
      const seconds = (performance.now() - begin) / 1000;
      assert.ok(seconds > 1, `${seconds} s: nobody was held back`);
      statuses.delete(204);
      assert.deepEqual([...statuses].filter((status) => status !== 503), []);

      const order = [...sent.keys()].sort(compareIds);
      assert.equal(order.length, 240);
      streams.forEach((stream, i) => {
        const expected = i === 2 ? order : order.filter((id) => Number(sent.get(id).split('.')[0]) % 2 === 0);
        assert.deepEqual(ids(stream), [...expected, last]);
        assert.deepEqual([...stream.named('gap'), ...stream.named('closing')], []);
      });
      assert.equal(await server.metric('ringcast_streams_open'), 3);
    }));
});
