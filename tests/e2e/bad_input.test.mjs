// What a client may not do, slowly, largely, ambiguously or abruptly. After all of it the server still
// serves and holds nothing that belonged to those clients.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { describeInEachMode, errorOf, patience, random, sharedServer, sleep, until } from './harness.mjs';
import { Connection, Stream } from './wire.mjs';

const post = (body, headers = '') =>
  `POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}\r\n${body}`;
const good = post('{"data":"x"}', 'Content-Length: 12\r\n');
const get = (path, headers = '', version = '1.1') => `GET ${path} HTTP/${version}\r\nHost: a\r\n${headers}\r\n`;

/** What must be refused at once: [request, allowed status codes]. */
const refused = {
  'binary garbage': ['\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n', [400]],
  'no version': ['GET /events\r\n\r\n', [400, 505]],
  'HTTP/2.0': ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', [400, 505]],
  'HTTP/1.2': ['GET / HTTP/1.2\r\nHost: a\r\n\r\n', [400, 505]],
  'HTTP/2 with prior knowledge': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 505]],
  'no Host': ['GET /events HTTP/1.1\r\n\r\n', [400]],
  'two Hosts': ['GET /events HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', [400]],
  'a space before a colon': [get('/events', 'X : y\r\n'), [400]],
  'a folded header': [get('/events', 'X: y\r\n z\r\n'), [400]],
  'a bare LF': ['GET /events HTTP/1.1\nHost: a\n\n', [400]],
  'a bare CR in a header': [get('/events', 'X: a\rb\r\n'), [400]],
  'NUL in a header': [get('/events', 'X: a\0b\r\n'), [400]],
  'NUL in the target': [get('/eve\0nts'), [400]],
  'a header without a colon': [get('/events', 'nothing\r\n'), [400]],
  'two different lengths': [post('{"data":"x"}', 'Content-Length: 12\r\nContent-Length: 13\r\n'), [400]],
  'two equal lengths': [post('{"data":"x"}', 'Content-Length: 12\r\nContent-Length: 12\r\n'), [400]],
  'a list of lengths': [post('{"data":"x"}', 'Content-Length: 12, 12\r\n'), [400]],
  'a negative length': [post('', 'Content-Length: -1\r\n'), [400]],
  'a signed length': [post('{"data":"x"}', 'Content-Length: +12\r\n'), [400]],
  'a hexadecimal length': [post('{"data":"x"}', 'Content-Length: 0xc\r\n'), [400]],
  'a length beyond 64 bits': [post('', 'Content-Length: 99999999999999999999\r\n'), [400, 413]],
  'length and chunks': [post('0\r\n\r\n', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), [400]],
  'chunks and length': [post('0\r\n\r\n', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'), [400]],
  'chunks on HTTP/1.0': [`POST /publish HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
  'an unknown coding': [post('', 'Transfer-Encoding: gzip\r\n'), [400, 501]],
  'a coding before chunked': [post('0\r\n\r\n', 'Transfer-Encoding: gzip, chunked\r\n'), [400, 501]],
  'a coding after chunked': [post('0\r\n\r\n', 'Transfer-Encoding: chunked, identity\r\n'), [400, 501]],
  'chunked twice': [post('0\r\n\r\n', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), [400]],
  'a tab before chunked': [post('0\r\n\r\n', 'Transfer-Encoding: \x0bchunked\r\n'), [400, 501]],
  'a chunk size that is no number': [post('zz\r\n', 'Transfer-Encoding: chunked\r\n'), [400]],
  'a negative chunk size': [post('-5\r\n', 'Transfer-Encoding: chunked\r\n'), [400]],
  'a chunk size beyond 64 bits': [post('fffffffffffffffff\r\n', 'Transfer-Encoding: chunked\r\n'), [400, 413]],
  'a chunk without its end': [post('3\r\nabcde', 'Transfer-Encoding: chunked\r\n'), [400]],
  'a header over the limit': [get('/events', `X: ${'y'.repeat(10_000)}\r\n`), [431]],
  'many headers over the limit': [get('/events', 'X: y\r\n'.repeat(3000)), [431]],
  'a target over the limit': [get(`/${'y'.repeat(10_000)}`), [414, 431]],
  'a body over the limit': [post('', 'Content-Length: 65537\r\n'), [413]],
  'a chunked body over the limit': [post(`${(70_000).toString(16)}\r\n${'y'.repeat(70_000)}\r\n0\r\n\r\n`, 'Transfer-Encoding: chunked\r\n'), [413]],
  'trailers over the limit': [post(`1\r\n{\r\n0\r\n${'X: y\r\n'.repeat(3000)}\r\n`, 'Transfer-Encoding: chunked\r\n'), [400, 431]],
  'two Last-Event-IDs': [get('/events', 'Last-Event-ID: 1-1\r\nLast-Event-ID: 2-2\r\n'), [400]],
  'a broken percent escape': [get('/events?topic=%zz'), [400]],
};

const gauges = ['ringcast_connections_open', 'ringcast_streams_open', 'ringcast_streams_blocked', 'ringcast_tail_bytes'];

describeInEachMode('bad input', (descriptors) => {
  const shared = sharedServer({
    descriptors,
    config: { limits: { header_seconds: 1, body_seconds: 1 } },
  });
  const open = [];
  const closeAll = () => open.splice(0).forEach((connection) => connection.close());
  after(closeAll);

  async function connect() {
    const connection = await Connection.open(shared.server.port, { allowHalfOpen: true });
    open.push(connection);
    return connection;
  }

  async function openStream() {
    const stream = await Stream.open(shared.server);
    open.push(stream.connection);
    return stream;
  }

  const readGauges = async () => {
    const metrics = await shared.server.metrics();
    for (const name of gauges) assert.ok(metrics.has(name), `no metric ${name}`);
    return gauges.map((name) => `${name} ${metrics.get(name)}`).join('\n');
  };

  async function assertStillServes() {
    shared.server.assertRunning();
    const stream = await openStream();
    await stream.waitFor((block) => block.event === 'heartbeat');
    const id = await shared.server.publish({ data: 'still here' });
    await stream.waitFor((block) => block.id === id && block.data === 'still here');
    stream.close();
  }

  /** Everything that was opened is noticed as gone. The kept connection of `publish` is in the baseline. */
  async function assertNothingHeld(baseline) {
    let now;
    await until(async () => (now = await readGauges()) === baseline, () => `back to\n${baseline}\nbut it is\n${now}`, 8000);
  }

  async function baseline() {
    closeAll(); // of a test that failed half-way
    await assertStillServes();
    let last;
    await until(async () => {
      const [previous, now] = [last, await readGauges()];
      last = now;
      await sleep(50);
      return previous === now && / 0$/m.exec(now.split('\n')[1]);
    }, 'quiet before the test');
    return last;
  }

  for (const [name, [bytes, statuses]] of Object.entries(refused)) {
    test(`Refused: ${name}`, async () => {
      const before = await baseline();
      const connection = await connect();
      connection.write(Buffer.from(bytes, 'latin1'));
      const answer = await connection.answer();
      assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
      errorOf(answer);
      // After what cannot be framed nothing that follows may be taken for a request. (A broken escape can.)
      if (name !== 'a broken percent escape') {
        await connection.waitForClose();
        assert.equal(connection.text, '', 'a second answer');
      }
      connection.close();
      await assertNothingHeld(before);
    });

    if (bytes.length > 300) continue;
    test(`Refused in single bytes: ${name}`, async () => {
      const connection = await connect();
      for (const byte of Buffer.from(bytes, 'latin1')) {
        connection.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
      const answer = await connection.answer();
      assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
      connection.close();
    });
  }

  test('HeadThatNeverEndsIsAnsweredWith408', async () => {
    const before = await baseline();
    for (const part of ['G', 'GET /events HTTP/1.1\r\nHost: a\r\nX: ']) {
      const connection = await connect();
      const begin = performance.now();
      connection.write(part);
      const answer = await connection.answer(6000);
      assert.equal(answer.status, 408);
      errorOf(answer);
      assert.ok(performance.now() - begin >= 900, 'too early');
      await connection.waitForClose();
      connection.close();
    }
    await assertNothingHeld(before);
  });

  test('DripOfBytesDoesNotProlongTheDeadline', async () => {
    const connection = await connect();
    connection.write('GET /events HTTP/1.1\r\nHost: a\r\nX: ');
    const begin = performance.now();
    while (!connection.closed && !connection.ended && performance.now() - begin < 6000 * patience) {
      connection.write('y');
      await sleep(100);
    }
    assert.match(connection.text, /^HTTP\/1\.1 408 /);
    assert.ok(performance.now() - begin < 4000 * patience, 'the client decided how long it may take');
    connection.close();
  });

  test('BodyThatNeverEndsIsAnsweredWith408', async () => {
    const before = await baseline();
    for (const part of [post('{"da', 'Content-Length: 12\r\n'), post('5\r\n{"d', 'Transfer-Encoding: chunked\r\n')]) {
      const connection = await connect();
      connection.write(part);
      const answer = await connection.answer(6000);
      assert.equal(answer.status, 408);
      errorOf(answer);
      await connection.waitForClose();
      connection.close();
    }
    await assertNothingHeld(before);
  });

  test('SilentConnectionIsClosed', async () => {
    const before = await baseline();
    const connection = await connect();
    await connection.waitForClose(6000);
    connection.close();
    await assertNothingHeld(before);
  });

  test('PipelinedRequestsAreAnsweredInOrder', async () => {
    const connection = await connect();
    connection.write(good + get('/nowhere') + good + get('/metrics'));
    const statuses = [];
    for (let i = 0; i < 4; ++i) statuses.push((await connection.answer()).status);
    assert.deepEqual(statuses, [204, 404, 204, 404]);
    connection.close();
  });

  test('GarbageAfterAGoodRequestIsRefusedAlone', async () => {
    const before = await baseline();
    const connection = await connect();
    connection.write(`${good}\0\x01garbage\r\n\r\n${good}`);
    assert.equal((await connection.answer()).status, 204);
    assert.equal((await connection.answer()).status, 400);
    await connection.waitForClose();
    assert.equal(connection.text, '', 'what follows garbage was taken for a request');
    connection.close();
    await assertNothingHeld(before);
  });

  test('BytesSentOnAStreamChangeNothingOrEndIt', async () => {
    const before = await baseline();
    for (const bytes of ['x', good, '\0'.repeat(1000), 'y'.repeat(500_000)]) {
      const stream = await openStream();
      await stream.waitFor((block) => block.event === 'heartbeat');
      stream.connection.write(bytes);
      await sleep(50);
      const id = await shared.server.publish({ data: 'after garbage' });
      await stream.until(
        () => stream.connection.closed || stream.connection.ended || stream.events.some((event) => event.id === id),
        'the event or the end',
      );
      assert.ok(!/HTTP\/1\.1 204/.test(stream.connection.text), 'a request on a stream was served');
      stream.close();
    }
    await assertNothingHeld(before);
  });

  test('HalfClosedClientIsForgotten', async () => {
    const before = await baseline();
    for (const bytes of ['', 'GET /ev', post('{"d', 'Content-Length: 12\r\n'), get('/events'), get('/events', '', '1.0')]) {
      const connection = await connect();
      connection.write(bytes);
      await sleep(30);
      connection.socket.end();
      await connection.waitForClose(6000);
      connection.close();
    }
    await assertNothingHeld(before);
  });

  const stages = {
    'after the accept': '',
    'within the head': 'GET /events HTTP/1.1\r\nHo',
    'within the body': post('{"dat', 'Content-Length: 12\r\n'),
    'after a whole publish': good,
    'right after the head of a stream': get('/events'),
    'with a replay under way': get('/events?last_event_id=0-0'),
  };
  for (const [name, bytes] of Object.entries(stages)) {
    for (const waitMs of [0, 20]) {
      test(`Reset ${name}, after ${waitMs} ms`, async () => {
        const before = await baseline();
        for (let i = 0; i < 30; ++i) {
          const connection = await Connection.open(shared.server.port);
          if (bytes) await new Promise((resolve) => connection.socket.write(bytes, resolve));
          if (waitMs > 0) await sleep(waitMs);
          connection.reset();
        }
        await assertNothingHeld(before);
      });
    }
  }

  test('ResetInTheMiddleOfABroadcastHarmsNobodyElse', async () => {
    const before = await baseline();
    const witness = await openStream();
    await witness.waitFor((block) => block.event === 'heartbeat');
    const sent = [];
    for (let round = 0; round < 10; ++round) {
      const victims = await Promise.all(Array.from({ length: 10 }, () => openStream()));
      const publishing = (async () => {
        for (let i = 0; i < 10; ++i) sent.push(await shared.server.publish({ data: `${round} ${i} ${'z'.repeat(5000)}` }));
      })();
      for (const victim of victims) {
        victim.connection.reset();
        await sleep(1);
      }
      await publishing;
    }
    await witness.waitForCount(sent.length);
    assert.deepEqual(witness.events.map((event) => event.id), sent);
    witness.close();
    await assertNothingHeld(before);
  });

  test('RandomBytesAtRandomMomentsBringNothingDown', async () => {
    const before = await baseline();
    const seed = Number(process.env.RINGCAST_SEED ?? 7);
    const roll = random(seed);
    const seeds = [good, get('/events'), get('/events?topic=a&last_event_id=0-0'), post('5\r\n{"dat\r\n', 'Transfer-Encoding: chunked\r\n')];
    for (let i = 0; i < 200; ++i) {
      const bytes = Buffer.from(seeds[Math.floor(roll() * seeds.length)], 'latin1');
      for (let n = Math.floor(roll() * 4); n > 0; --n) bytes[Math.floor(roll() * bytes.length)] = Math.floor(roll() * 256);
      const connection = await Connection.open(shared.server.port);
      const half = Math.floor(roll() * bytes.length);
      connection.write(bytes.subarray(0, half));
      if (roll() < 0.5) await sleep(2);
      connection.write(bytes.subarray(half));
      if (roll() < 0.5) await sleep(5);
      if (roll() < 0.5) connection.reset();
      else connection.close();
    }
    await assertNothingHeld(before);
    await assertStillServes();
    shared.server.assertNoSanitizerReport();
  });
});
