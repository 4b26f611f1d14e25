// The npm client `eventsource`: reconnecting, resuming, gaps.
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';

import { EventSource } from 'eventsource';

import { describeInEachMode, random, sharedServer, sleep, until } from './harness.mjs';
import { CuttingProxy } from './proxy.mjs';

describeInEachMode('eventsource', (descriptors) => {
  const shared = sharedServer({
    descriptors,
    config: { stream: { retry_ms: 100 }, history: { events: 512, bytes: '2MiB' } },
  });
  let proxy;
  const open = [];
  beforeEach(async () => {
    proxy = await CuttingProxy.start(shared.server.port);
  });
  afterEach(async () => {
    open.splice(0).forEach((source) => source.close());
    await proxy.stop();
  });
  after(() => open.splice(0).forEach((source) => source.close()));

  /** A client through the proxy that keeps what it gets. */
  async function client(query = '', types = []) {
    const source = new EventSource(`${proxy.url}/events${query}`);
    open.push(source);
    const seen = { source, events: [], heartbeats: 0, opens: 0, lastHeartbeat: undefined };
    source.onopen = () => ++seen.opens;
    for (const type of ['message', 'gap', 'closing', ...types]) {
      source.addEventListener(type, (event) => {
        seen.events.push({ type, data: event.data, id: event.lastEventId, at: performance.now() });
      });
    }
    source.addEventListener('heartbeat', (event) => {
      ++seen.heartbeats;
      seen.lastHeartbeat = event.lastEventId;
    });
    await until(() => seen.heartbeats > 0, 'the first heartbeat');
    return seen;
  }

  test('CustomTypesAndManyLinesArrive', async () => {
    const seen = await client('', ['install', 'Ünïcode type']);
    const first = await shared.server.publish({ event: 'install', data: 'one\ntwo\n\nfour' });
    const second = await shared.server.publish({ event: 'Ünïcode type', data: { a: [1, 2] } });
    const third = await shared.server.publish({ data: 'plain' });
    await until(() => seen.events.length >= 3, 'three events');
    assert.deepEqual(
      seen.events.map(({ type, data, id }) => ({ type, data, id })),
      [
        { type: 'install', data: 'one\ntwo\n\nfour', id: first },
        { type: 'Ünïcode type', data: '{"a":[1,2]}', id: second },
        { type: 'message', data: 'plain', id: third },
      ],
    );
  });

  test('RetryOfAnEventIsHonoured', async () => {
    const seen = await client();
    const quickly = performance.now();
    proxy.cut();
    await until(() => seen.opens === 2, 'the client comes back');
    assert.ok(performance.now() - quickly < 1000, 'the first retry was 100 ms');

    // A stream that starts gets the configured value again, so this one counts until the next cut.
    await shared.server.publish({ data: 'wait longer', retry: 1500 });
    await until(() => seen.events.length > 0, 'the event');
    const cutAt = performance.now();
    proxy.cut();
    await until(() => proxy.acceptedAt.length === 3, 'the third connection');
    assert.ok(proxy.acceptedAt[2] - cutAt >= 1400, `came back after ${proxy.acceptedAt[2] - cutAt} ms`);
  });

  test('ClientThatIsCutBeforeItsFirstEventResumesFromTheFirstHeartbeat', async () => {
    const seen = await client();
    const position = seen.lastHeartbeat;
    assert.match(position, /^\d+-\d+$/);
    const outage = proxy.outage(300);
    const id = await shared.server.publish({ data: 'while away' });
    await outage;
    await until(() => seen.events.length > 0, 'the missed event');
    assert.equal(proxy.lastHeader('last-event-id'), position);
    assert.deepEqual(seen.events.map((event) => event.id), [id]);
  });

  test('EvictedPositionIsAGapAndTheStreamGoesOnWithWhatThereIs', async () => {
    const seen = await client();
    const before = await shared.server.publish({ data: 'before the outage' });
    await until(() => seen.events.length === 1, 'the first event');
    proxy.refusing = true;
    proxy.cut();
    const sent = [];
    for (let i = 0; i < 1500; ++i) sent.push(await shared.server.publish({ data: `${i}` }));
    proxy.refusing = false;
    await until(() => seen.events.at(-1).id === sent.at(-1), () => `the newest event; ${JSON.stringify(seen.events.at(-1))}`, 10_000);

    const [, gap, ...rest] = seen.events;
    assert.equal(gap.type, 'gap');
    const report = JSON.parse(gap.data);
    assert.equal(report.requested, before);
    assert.equal(report.newest, sent.at(-1));
    const oldest = sent.indexOf(report.oldest);
    assert.ok(oldest > 0, `the oldest kept event was published: ${report.oldest}`);
    assert.deepEqual(rest.map((event) => event.id), sent.slice(oldest));
  });
});

// With the usual history: a busy machine may publish hundreds of events while the client is away.
describeInEachMode('eventsource, many cuts', (descriptors) => {
  const shared = sharedServer({ descriptors, config: { stream: { retry_ms: 100 } } });

  test('EachEventArrivesOnceAndInOrderOverManyCuts', async (t) => {
    const roll = random(20_240_501);
    const proxy = await CuttingProxy.start(shared.server.port);
    // The server's own bytes of a fresh stream are some 300: the lines die in heads, in frames, anywhere.
    proxy.cutAfterBytes = () => 150 + Math.floor(roll() * 4000);
    const source = new EventSource(`${proxy.url}/events?topic=a&last_event_id=${await shared.server.publish({ data: 'mark' })}`);
    t.after(() => {
      source.close();
      return proxy.stop();
    });
    const seen = [];
    let gaps = 0;
    source.addEventListener('message', (event) => seen.push({ id: event.lastEventId, data: event.data }));
    source.addEventListener('gap', () => ++gaps);
    const sent = [];
    for (let i = 0; i < 400; ++i) {
      const topic = roll() < 0.3 ? { topic: 'a' } : {};
      const data = `${i} ${'x'.repeat(Math.floor(roll() * 200))}`;
      sent.push({ id: await shared.server.publish({ data, ...topic }), data });
      if (roll() < 0.5) await shared.server.publish({ data: 'for others', topic: 'b' });
      if (i % 20 === 0) await sleep(20);
    }
    await until(
      () => seen.length >= sent.length,
      () => {
        const wrong = sent.findIndex((event, i) => event.id !== seen[i]?.id);
        return (
          `all events; ${seen.length} of ${sent.length}, ${gaps} gaps, ${proxy.acceptedAt.length} connections, ` +
          `the first that is wrong is number ${wrong}: ${seen[wrong]?.id} instead of ${sent[wrong]?.id}; ` +
          `the last request: ${JSON.stringify(proxy.requests.at(-1))}`
        );
      },
      20_000,
    );
    assert.deepEqual(seen, sent);
    assert.equal(gaps, 0);
    assert.ok(proxy.acceptedAt.length > 10, `only ${proxy.acceptedAt.length} connections`);
  });
});
