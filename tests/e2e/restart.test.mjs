// What survives a restart without Redis: the order of IDs. The history does not, and clients are told so.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { EventSource } from 'eventsource';

import { compareIds, Server, until } from './harness.mjs';
import { Stream } from './wire.mjs';

const millisecondsOf = (id) => Number(id.split('-')[0]);

describe('restart', () => {
  let folder;
  let highWater;
  let server;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-e2e-'));
    highWater = path.join(folder, 'state', 'high-water');
    fs.mkdirSync(path.dirname(highWater));
  });
  afterEach(async () => {
    if (server && !server.status) await server.stop();
    server = undefined;
    fs.rmSync(folder, { recursive: true, force: true });
  });
  const start = async (config = {}) => (server = await Server.start({ folder, config }));

  /** Ends the server without a last word. */
  async function kill() {
    server.signal('SIGKILL');
    assert.deepEqual(await server.exited, { code: null, signal: 'SIGKILL' });
  }

  /** The position of a fresh stream. */
  async function position() {
    const stream = await Stream.open(server);
    const { id } = await stream.waitFor((block) => block.event === 'heartbeat', 'the first heartbeat');
    stream.close();
    return id;
  }

  test('IdsGrowOverRestarts', async () => {
    let last = '0-0';
    for (let run = 0; run < 4; ++run) {
      await start();
      const floor = await position();
      assert.ok(compareIds(floor, last) > 0, `run ${run} begins at ${floor}, the one before ended at ${last}`);
      last = floor;
      for (let i = 0; i < 20; ++i) {
        const id = await server.publish({ data: `${i}` });
        assert.ok(compareIds(id, last) > 0, `${id} after ${last} in run ${run}`);
        last = id;
      }
      await server.stop();
    }
  });

  test('IdsGrowWhenTheClockIsFarBehindTheHighWaterMark', async () => {
    // A clock that was set back by ten years looks like this.
    const mark = Date.now() + 10 * 365 * 86_400_000;
    fs.writeFileSync(highWater, `${mark}\n`);
    let last = `${mark}-18446744073709551615`; // whatever the run before gave in its last millisecond
    for (let run = 0; run < 2; ++run) {
      await start();
      for (let i = 0; i < 5; ++i) {
        const id = await server.publish({ data: `${i}` });
        assert.ok(compareIds(id, last) > 0, `${id} after ${last}`);
        last = id;
      }
      assert.ok(Number(fs.readFileSync(highWater, 'utf8')) >= millisecondsOf(last), 'the mark is ahead of what was given');
      await server.stop();
    }
  });

  test('MarkIsAheadOfEveryIdThatWasGiven', async () => {
    await start();
    const id = await server.publish({ data: 'x' });
    const text = fs.readFileSync(highWater, 'utf8');
    assert.match(text, /^\d+\n$/);
    assert.ok(Number(text) > millisecondsOf(id));
    assert.ok(Math.abs(millisecondsOf(id) - Date.now()) < 60_000, 'on a first start IDs are the time');
  });

  test('IdsGrowOverKillsWhilePublishing', async () => {
    let last = '0-0';
    for (let run = 0; run < 4; ++run) {
      await start();
      const ids = [];
      let failed = false;
      const publishers = Array.from({ length: 3 }, async () => {
        while (!failed) {
          try {
            ids.push(await server.publish({ data: 'x' }));
          } catch {
            failed = true; // the connection broke: its event has no ID that anybody knows
          }
        }
      });
      await until(() => ids.length > 100, 'events');
      await kill();
      await Promise.all(publishers);
      ids.sort(compareIds);
      assert.ok(compareIds(ids[0], last) > 0, `${ids[0]} after ${last} in run ${run}`);
      assert.equal(new Set(ids).size, ids.length);
      last = ids.at(-1);
    }
    await start();
    assert.ok(compareIds(await server.publish({ data: 'x' }), last) > 0);
  });

  test('PositionFromBeforeTheRestartIsAGap', async () => {
    await start();
    const before = await server.publish({ data: 'before' });
    await server.stop();

    await start();
    const early = await Stream.open(server, { headers: { 'Last-Event-ID': before } });
    await early.waitFor((block) => block.event === 'gap', 'the gap');
    assert.equal(early.blocks[0].event, 'heartbeat');
    assert.equal(early.blocks[0].id, undefined);
    assert.deepEqual(JSON.parse(early.blocks[1].data), { requested: before, oldest: null, newest: null });

    const first = await server.publish({ data: 'first' });
    const second = await server.publish({ data: 'second' });
    await early.waitForCount(2);
    assert.deepEqual(early.events.map((event) => event.id), [first, second]);

    const late = await Stream.open(server, { path: `/events?last_event_id=${before}` });
    await late.waitForCount(2);
    assert.deepEqual(JSON.parse(late.named('gap')[0].data), { requested: before, oldest: first, newest: second });
    assert.deepEqual(late.events.map((event) => event.id), [first, second]);

    const everything = await Stream.open(server, { path: '/events?last_event_id=0-0' });
    await everything.waitForCount(2);
    assert.deepEqual(everything.named('gap'), [], 'everything that is kept was asked for, and is there');
    for (const stream of [early, late, everything]) stream.close();
  });

  test('BrowserLikeClientHearsOfTheGapAndGoesOn', async () => {
    await start({ stream: { retry_ms: 50 } });
    const source = new EventSource(`${server.url}/events`);
    const seen = [];
    for (const type of ['message', 'gap', 'heartbeat']) {
      source.addEventListener(type, (event) => seen.push({ type, data: event.data, id: event.lastEventId }));
    }
    try {
      await until(() => seen.length > 0, 'the first heartbeat');
      const before = await server.publish({ data: 'before' });
      await until(() => seen.at(-1).data === 'before', 'the event');
      const { port } = server;
      await kill();
      seen.length = 0;
      await start({ stream: { retry_ms: 50 }, server: { listen: [`127.0.0.1:${port}`] } });
      await until(() => seen.some(({ type }) => type === 'gap'), 'the gap');
      const after = await server.publish({ data: 'after' });
      await until(() => seen.at(-1).data === 'after', 'the event after the restart');
      assert.deepEqual(seen.map(({ type }) => type), ['heartbeat', 'gap', 'message']);
      assert.equal(JSON.parse(seen[1].data).requested, before);
      assert.equal(seen[2].id, after);
    } finally {
      source.close();
    }
  });

  for (const [what, content] of [
    ['garbage', 'not a number\n'],
    ['an empty file', ''],
    ['a number with a unit', '1700000000000ms\n'],
    ['a number too large', '99999999999999999999\n'],
  ]) {
    test(`HighWaterMarkThatIsNotANumberIsRefused: ${what}`, async () => {
      fs.writeFileSync(highWater, content);
      await assert.rejects(start(), (error) => {
        assert.match(error.message, /\{"code":1,"signal":null\}/);
        const told = error.message.split('\n').filter((line) => line.includes(highWater));
        assert.equal(told.length, 1, error.message);
        assert.match(told[0], /does not hold a number of milliseconds/);
        assert.doesNotMatch(error.message, /assert|terminate|core dumped/i);
        return true;
      });
      assert.equal(fs.readFileSync(highWater, 'utf8'), content, 'never overwritten');
    });
  }
});
