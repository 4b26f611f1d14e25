// Many instances on one Redis: whoever publishes, wherever, every stream gets every event once, in one order,
// under the same ID.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertOrdered, assertSame, channel, Cluster, Ledger, shown, streamKey, withCluster } from './bridge.mjs';
import { scratchFolder } from './identity.mjs';
import { sleep, until } from './harness.mjs';

const json = (value) => JSON.stringify(value);

/** What Redis holds, as the streams should show it. */
async function entriesOf(redis) {
  const client = await redis.client();
  const entries = await client.xRange(streamKey, '-', '+');
  return entries.map(({ id, message }) => ({ id, data: message.data }));
}

describe('publishers of all kinds', () => {
  test('EveryStreamOfEveryInstanceGetsEveryEventOnceInOneOrderUnderTheSameId', withCluster(3, {}, async (cluster) => {
    const { redis, servers } = cluster;
    const streams = await cluster.openAll(3);
    const ledger = new Ledger();
    const node = await redis.client();
    const heard = [];
    const addedByHand = async (i) => {
      const data = `by hand ${i}`;
      ledger.sent.set(data, 1);
      ledger.acknowledge(data, await redis.cli('XADD', streamKey, '*', 'event', 'tick', 'data', data));
    };
    const fromPython = async () => {
      const data = Array.from({ length: 60 }, (_, i) => `python ${i} ü`);
      data.forEach((text) => ledger.sent.set(text, 1));
      heard.push(...(await redis.publishFromPython(channel, data.map((text) => json({ data: text })))));
      data.forEach((text) => ledger.acknowledge(text));
    };
    const fromRedisCli = async (i) => {
      const data = `redis-cli ${i}`;
      ledger.sent.set(data, 1);
      heard.push(Number(await redis.cli('PUBLISH', channel, json({ event: 'install', data }))));
      ledger.acknowledge(data);
    };
    const inTurn = async (count, step) => {
      for (let i = 0; i < count; ++i) await step(i);
    };
    await Promise.all([
      fromPython(),
      inTurn(25, fromRedisCli),
      inTurn(25, addedByHand),
      inTurn(200, (i) => ledger.say(node, { data: `node ${i}` }, 3)),
      ...servers.map((server, k) => inTurn(100, (i) => ledger.post(server, { data: `POST ${i} to instance ${k}` }))),
    ]);
    assert.deepEqual([...new Set(heard)], [3], 'each PUBLISH is heard by the three instances, and by nobody else');
    assert.deepEqual(ledger.counts, { sent: 610, acknowledged: 610 });

    await streams[0].until(() => streams[0].events.length >= 610, '610 events', 10_000);
    await cluster.flush(streams);
    assertSame(streams);
    ledger.check(streams[0].events, 'all kinds');
    assert.equal(streams[0].events.length, 611);
    assert.deepEqual(streams[0].events.map(({ id, data }) => ({ id, data })), await entriesOf(redis), 'the order is that of Redis');
    for (const kind of ['python', 'redis-cli', 'node', 'by hand', ...servers.map((_, k) => `instance ${k}`)]) {
      const numbers = streams[0].events.filter(({ data }) => data.includes(kind)).map(({ data }) => Number(/\d+/.exec(data)[0]));
      assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), `those of ${kind} are in the order in which they were published`);
    }
    assert.equal(await cluster.sum('ringcast_redis_channel_relayed_total'), 285, 'each message is relayed by one instance');
  }));

  test('RedisSeesThreeConnectionsOfEachInstanceHoweverManyStreamsThereAre', withCluster(2, {}, async (cluster) => {
    const count = async () => (await cluster.redis.clientList()).filter(({ name }) => name.startsWith('ringcast')).length;
    assert.equal(await count(), 6);
    const streams = await cluster.openAll(100);
    const client = await cluster.redis.client();
    assert.equal(await client.publish(channel, json({ data: 'to all' })), 2);
    await Promise.all(streams.map((stream) => stream.waitForCount(1)));
    assert.equal(await count(), 6);
    assert.equal((await client.pubSubNumSub(channel))[channel], 2);
  }));
});

describe('what an event may be', () => {
  let cluster;
  let streams;
  let client;
  before(async () => {
    cluster = await Cluster.start(3);
    client = await cluster.redis.client();
  });
  after(() => cluster?.stop());

  const metric = (server, name) => server.metric(`ringcast_redis_${name}`);
  const metrics = (name) => Promise.all(cluster.servers.map((server) => metric(server, name)));
  const sum = (list) => list.reduce((a, b) => a + b, 0);

  async function fresh() {
    streams = await cluster.openAll();
    return streams;
  }

  test('LinesTypesRetryAndOddCharactersArriveThroughEachDoorAlike', async () => {
    await fresh();
    const events = [
      { data: 'plain' },
      { event: 'install', data: 'one\ntwo\n\nfour' },
      { data: '  leading and trailing  ' },
      { data: '' },
      { data: '\n' },
      { data: 'id: 1-1\nevent: forged\n\ndata: no field of its own' },
      { data: 'ü 漢字 🎉 \u2028 \0 \u0007' },
      { event: 'a b', data: 'x'.repeat(60_000) },
      { data: 'come back in a minute', retry: 60_000 },
      { event: 'message', data: 'an explicit message', retry: 0 },
      { data: '{"json":"in a string"}' },
    ];
    const fields = ({ event, data, retry }) => ({ ...(event && { event }), data, ...(retry !== undefined && { retry: `${retry}` }) });
    const wanted = [];
    for (const event of events) {
      assert.equal(await client.publish(channel, json(event)), 3);
      await client.xAdd(streamKey, '*', fields(event));
      await cluster.servers[1].publish(event);
      wanted.push(json(event), json(event), json(event));
    }
    await cluster.flush(streams);
    await until(() => streams.every((stream) => stream.events.length === wanted.length + 1), () => `${streams.map((s) => s.events.length)} of ${wanted.length}`);
    assertSame(streams);
    const got = streams[0].events.filter(({ data }) => data !== 'the last').map((event) => json({ event: event.event, data: event.data, retry: event.retry }));
    // The relay takes its time: what came over the channel may be later than what was published after it.
    assert.deepEqual(got.sort(), wanted.map((text) => {
      const { event, data, retry } = JSON.parse(text);
      return json({ event: event === 'message' ? undefined : event, data, retry });
    }).sort());
  });

  test('EveryKindOfLineEndArrivesAsOne', async () => {
    await fresh();
    const data = 'a\r\nb\rc\nd\r';
    await client.xAdd(streamKey, '*', { data });
    await client.publish(channel, json({ data }));
    await streams[0].waitForCount(2);
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(streams[0].events.map((event) => event.data).slice(0, 2), ['a\nb\nc\nd\n', 'a\nb\nc\nd\n']);
  });

  test('JsonValuesAreDeliveredAsCompactJson', async () => {
    await fresh();
    await client.publish(channel, '{ "data" : { "b" : [1, 2.50, null],\n "a" : "ü" } }');
    await client.publish(channel, '{"data": 12345678901234567890}');
    await streams[0].waitForCount(2);
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(streams[0].events.map((event) => event.data).slice(0, 2), ['{"b":[1,2.50,null],"a":"ü"}', '12345678901234567890']);
  });

  test('InvalidMessagesAreCountedOnceAndLoggedAndChangeNothingElse', async () => {
    await fresh();
    const invalid = [
      'not json',
      '',
      '{}',
      '[]',
      '{"data":"x"',
      '{"data":"x"} {"data":"y"}',
      '{"data":"x","data":"y"}',
      '{"data":"x","colour":"red"}',
      '{"data":"x","topic":7}',
      '{"data":"x","topic":""}',
      '{"data":"x","retry":-1}',
      json({ data: 'x', event: 'a\nb' }),
      json({ data: 'x', topic: 'a\nb' }),
      json({ data: 'x'.repeat(70_000) }),
      Buffer.from('7b2264617461223a22ff227d', 'hex'), // {"data":"<ff>"}
      'forged\r\n2026-01-01T00:00:00Z error a line of its own \x1b[31m\x07',
    ];
    const before = sum(await metrics('channel_invalid_total'));
    const relayed = sum(await metrics('channel_relayed_total'));
    const beforeOutput = cluster.servers.map((server) => server.output.length);
    for (const [i, message] of invalid.entries()) {
      assert.equal(await client.publish(channel, message), 3);
      assert.equal(await client.publish(channel, json({ data: `valid ${i}` })), 3);
    }
    await streams[0].waitForCount(invalid.length);
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(
      streams[0].events.map((event) => event.data),
      [...invalid.map((_, i) => `valid ${i}`), 'the last'],
      'in the order in which they were published',
    );
    await until(async () => sum(await metrics('channel_invalid_total')) - before >= invalid.length, 'all are counted');
    assert.equal(sum(await metrics('channel_invalid_total')) - before, invalid.length);
    assert.equal(sum(await metrics('channel_relayed_total')) - relayed, invalid.length);
    assert.deepEqual(await metrics('channel_queue'), [0, 0, 0], 'nothing waits');

    const said = cluster.servers.map((server, i) => server.output.slice(beforeOutput[i])).join('');
    assert.match(said, /channel/i);
    assert.match(said, /not json|must be|missing|JSON/i);
    assert.doesNotMatch(said, /[^\n\x20-\uffff]/, 'no control characters');
    assert.doesNotMatch(said, /^2026-01-01T00:00:00Z/m);
    assert.ok(said.length < 20_000, `${said.length} bytes of log`);
  });

  test('InvalidEntriesAreCountedByEachInstanceAndSkipped', async () => {
    await fresh();
    const add = (...words) => client.sendCommand(['XADD', streamKey, '*', ...words]);
    const invalid = [
      ['colour', 'red'],
      ['event', 'install'],
      ['data', 'x', 'data', 'y'],
      ['data', 'x', 'event', 'a\nb'],
      ['data', 'x', 'event', 'e'.repeat(300)],
      ['data', 'x', 'topic', ''],
      ['data', 'x', 'topic', 'a\u0000b'],
      ['data', 'x', 'retry', '-1'],
      ['data', 'x', 'retry', 'soon'],
      ['data', 'x', 'retry', '99999999999'],
      ['data', 'x'.repeat(70_000)],
      ['data', Buffer.from([0xff, 0xfe])],
      ['sign-out', 'not hexadecimal', 'topic', 'user/ann'],
      ['data', 'x', 'event', '\x1b[31m\r\n2026-01-01T00:00:00Z error a line of its own'],
    ];
    const before = await metrics('entries_invalid_total');
    const beforeOutput = cluster.servers.map((server) => server.output.length);
    for (const [i, words] of invalid.entries()) {
      await add(...words);
      await add('data', `valid ${i}`, 'x-trace', 'a field of somebody else is left alone');
    }
    await cluster.flush(streams);
    assertSame(streams);
    assert.deepEqual(streams[0].events.map((event) => event.data), [...invalid.map((_, i) => `valid ${i}`), 'the last']);
    assert.deepEqual(await metrics('entries_invalid_total'), before.map((value) => value + invalid.length));
    const said = cluster.servers.map((server, i) => server.output.slice(beforeOutput[i])).join('');
    assert.match(said, /entr(y|ies)/i);
    assert.doesNotMatch(said, /[^\n\x20-\uffff]/, 'no control characters');
    assert.doesNotMatch(said, /^2026-01-01T00:00:00Z/m);

    // They are invalid for those who read them later, too.
    const late = await cluster.open(cluster.servers[2], { path: `/events?last_event_id=${streams[0].blocks[0].id}` });
    await late.waitForCount(invalid.length + 1);
    assert.deepEqual(late.events.map(shown), streams[0].events.map(shown));
  });

  test('FloodOfInvalidMessagesDoesNotFloodTheLog', async () => {
    await fresh();
    const before = sum(await metrics('channel_invalid_total'));
    const beforeOutput = cluster.servers.map((server) => server.output.length);
    await Promise.all(Array.from({ length: 5000 }, (_, i) => client.publish(channel, `garbage ${i}`)));
    await until(async () => sum(await metrics('channel_invalid_total')) - before === 5000, 'all are counted');
    await cluster.flush(streams);
    const lines = cluster.servers.map((server, i) => server.output.slice(beforeOutput[i]).split('\n').length);
    assert.ok(Math.max(...lines) < 40, `${lines} lines`);
    assert.deepEqual(streams[0].events.map((event) => event.data), ['the last']);
  });
});

describe('rooms on many instances', () => {
  const scratch = scratchFolder();
  after(() => scratch.remove());

  test('EventsOfATopicReachThoseWhoAskedAndMayOnEveryInstance', async () => {
    const secret = 'x'.repeat(48);
    const secret_file = scratch.write('jwt.secret', secret);
    await withCluster(3, { config: { auth: { secret_file }, 'auth.grants."*"': { subscribe: ['orders'], publish: [''] } } }, async (cluster) => {
      for (const server of cluster.servers) server.secret = secret;
      const [a, b, c] = cluster.servers;
      const everything = a.bearer('newsroom', { ringcast: { publish: ['*'] } });
      const open = (server, user, topics = []) =>
        cluster.open(server, { headers: server.bearer(user), path: `/events?${topics.map((topic) => `topic=${topic}`).join('&')}` });
      const readers = {
        annA: await open(a, 'ann'),
        annC: await open(c, 'ann', ['orders']),
        bobB: await open(b, 'bob'),
        bobC: await open(c, 'bob', ['orders']),
      };
      const stranger = await open(b, 'bob', ['user/ann']);
      assert.equal(stranger.head.status, 403);

      const client = await cluster.redis.client();
      const post = async (server, event) => {
        const answer = await server.post(event, { 'Content-Type': 'application/json', ...everything });
        assert.equal(answer.status, 204, answer.text);
      };
      const say = async (event) => assert.equal(await client.publish(channel, json(event)), 3);
      const add = (fields) => client.xAdd(streamKey, '*', fields);
      for (const topic of ['user/ann', 'user/bob', 'orders', 'elsewhere', undefined]) {
        const to = topic ?? 'all';
        const room = topic ? { topic } : {};
        await say({ ...room, data: `channel to ${to}` });
        await add({ ...room, data: `entry to ${to}` });
        await post(b, { ...room, data: `POST to ${to}` });
      }
      const forbidden = await c.post({ topic: 'orders', data: 'not allowed' }, { 'Content-Type': 'application/json', ...c.bearer('bob') });
      assert.equal(forbidden.status, 403);
      await post(c, { data: 'the end' });

      const wanted = {
        annA: ['user/ann', 'all'],
        annC: ['user/ann', 'orders', 'all'],
        bobB: ['user/bob', 'all'],
        bobC: ['user/bob', 'orders', 'all'],
      };
      for (const [name, rooms] of Object.entries(wanted)) {
        const expected = rooms.flatMap((room) => ['channel', 'entry', 'POST'].map((door) => `${door} to ${room}`)).sort();
        await readers[name].waitForCount(expected.length + 1);
        assert.deepEqual(readers[name].events.map((event) => event.data).filter((data) => data !== 'the end').sort(), expected, name);
        assertOrdered(readers[name].events);
      }
      const idOf = (reader, text) => reader.events.find(({ data }) => data === text).id;
      assert.equal(idOf(readers.annA, 'channel to user/ann'), idOf(readers.annC, 'channel to user/ann'));
      assert.equal(idOf(readers.annC, 'entry to orders'), idOf(readers.bobC, 'entry to orders'));

      // A room stays closed for those who ask for what was.
      const late = await cluster.open(c, { headers: c.bearer('bob'), path: '/events?last_event_id=0-0' });
      await late.waitForCount(7);
      await sleep(100);
      assert.deepEqual(late.events.map(shown), readers.bobB.events.map(shown));
    })();
  });
});
