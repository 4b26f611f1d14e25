// Over a limit a program gets a status, a browser's EventSource an answer that it comes back from.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeInEachMode, errorOf, Server, sleep, until } from './harness.mjs';
import { ChunkReader, Connection, parseHead, StrictEventReader } from './wire.mjs';

const browserHeaders = 'Accept: text/event-stream\r\n';
const programHeaders = 'Accept: */*\r\n';

/** Asks for a stream: {status, headers, blocks, connection}. */
async function ask(server, headers, path = '/events') {
  const connection = await Connection.open(server.port);
  connection.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`);
  await connection.waitFor(/\r\n\r\n/);
  const end = connection.bytes.indexOf('\r\n\r\n') + 4;
  const head = parseHead(connection.bytes.subarray(0, end));
  const result = { ...head, connection, blocks: [], ended: false };
  if (head.status === 200) {
    const reader = new StrictEventReader((block) => result.blocks.push(block));
    const chunks = new ChunkReader((part) => reader.feed(part));
    let fed = end;
    await until(() => {
      chunks.feed(connection.bytes.subarray(fed));
      fed = connection.bytes.length;
      result.ended = chunks.done;
      return result.blocks.some((block) => ['heartbeat', 'refused'].includes(block.event));
    }, 'the first event');
    if (result.blocks.some((block) => block.event === 'refused')) {
      await connection.waitForClose();
      chunks.feed(connection.bytes.subarray(fed));
      result.ended = chunks.done || connection.ended;
    }
  } else {
    await connection.waitFor(/\r\n\r\n[^]*\}/);
    result.text = connection.bytes.subarray(end).toString();
  }
  return result;
}

function assertSafeRefusal(answer) {
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/event-stream/);
  assert.equal(answer.blocks.filter((block) => block.data !== undefined).length, 1, 'the only event');
  const block = answer.blocks.find((one) => one.event === 'refused');
  assert.equal(typeof JSON.parse(block.data).reason, 'string');
  assert.equal(block.id, undefined);
  assert.ok(answer.blocks.some((one) => one.retry > 0), 'when to come back');
  assert.ok(answer.ended, 'the end');
}

function assertPlainRefusal(answer) {
  assert.ok([503, 429].includes(answer.status), `${answer.status}`);
  assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  errorOf(answer);
}

const isRefused = (answer) => answer.status !== 200 || answer.blocks.some((block) => block.event === 'refused');

describeInEachMode('limits', (descriptors) => {
  async function withServer(config, body) {
    const server = await Server.start({ descriptors, config: { ...config, server: { shards: 1, ...config.server } } });
    const open = [];
    const asked = async (...args) => {
      const answer = await ask(server, ...args);
      open.push(answer.connection);
      return answer;
    };
    try {
      await body(server, asked);
    } finally {
      open.forEach((connection) => connection.close());
      await server.stop();
    }
  }

  const buckets = { limits: { connect_per_second: 5, connect_burst: 5 } };

  test('ConnectionsOverTheRateAreRefusedAndLaterTaken', () =>
    withServer(buckets, async (server, asked) => {
      const first = [];
      for (let i = 0; i < 20; ++i) first.push(await asked(browserHeaders));
      const taken = first.filter((answer) => !isRefused(answer));
      assert.ok(taken.length >= 4, `${taken.length} were taken of a burst of 5`);
      assert.ok(taken.length <= 15, `${taken.length} were taken at 5 a second`);
      first.filter(isRefused).forEach(assertSafeRefusal);
      await sleep(1500);
      assert.ok(!isRefused(await asked(browserHeaders)), 'the limit never recovers');
      assert.ok((await server.metric('ringcast_streams_refused_total')) >= 20 - taken.length);
    }));

  test('RefusedBrowsersComeBackAtDifferentTimes', () =>
    withServer(buckets, async (server, asked) => {
      const retries = new Set();
      for (let i = 0; i < 30; ++i) {
        const answer = await asked(browserHeaders);
        if (isRefused(answer)) retries.add(answer.blocks.find((block) => block.retry).retry);
      }
      assert.ok(retries.size >= 10, `${retries.size} different retries`);
    }));

  test('ProgramsGetAStatusAndRetryAfter', () =>
    withServer(buckets, async (server, asked) => {
      const answers = [];
      for (let i = 0; i < 20; ++i) answers.push(await asked(programHeaders));
      const refused = answers.filter(isRefused);
      assert.ok(refused.length >= 5);
      refused.forEach(assertPlainRefusal);
    }));

  test('KindOfRefusalCanBeConfigured', async () => {
    for (const [refusal, check] of [['status', assertPlainRefusal], ['retry', assertSafeRefusal]]) {
      await withServer({ limits: { ...buckets.limits, refusal } }, async (server, asked) => {
        let refused = 0;
        for (let i = 0; i < 24; ++i) {
          const answer = await asked(i % 2 ? browserHeaders : programHeaders);
          if (!isRefused(answer)) continue;
          check(answer);
          ++refused;
        }
        assert.ok(refused >= 5);
      });
    }
  });

  test('StreamsOverTheCapacityAreRefusedFromTheReserve', () =>
    withServer({ server: { streams_per_shard: 8 } }, async (server, asked) => {
      const taken = [];
      let refused;
      for (let i = 0; i < 40 && !refused; ++i) {
        const answer = await asked(browserHeaders);
        if (isRefused(answer)) refused = answer;
        else taken.push(answer);
      }
      assert.ok(refused, 'forty streams on a shard that may have eight');
      assert.equal(taken.length, 8);
      assertSafeRefusal(refused);
      assertPlainRefusal(await asked(programHeaders));

      // Those who are in stay in.
      const id = await server.publish({ data: 'to those who are in' });
      for (const answer of taken) await answer.connection.waitFor(new RegExp(`id: ${id}\n`));

      taken.pop().connection.close();
      await until(async () => !isRefused(await asked(browserHeaders)), 'the free place is given away');
    }));
});
