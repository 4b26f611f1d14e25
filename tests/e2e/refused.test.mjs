// The browser's own EventSource over a limit: it would never come back after a status, so it is refused in its own words.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { launch } from './chromium.mjs';
import { Server, until } from './harness.mjs';
import { Sites } from './sites.mjs';

const push = 'http://push.example.com';

describe('refused EventSource', () => {
  let server;
  let sites;
  let browser;
  let page;

  before(async () => {
    sites = await Sites.start({ servers: ['push.example.com:80'], pages: ['app.example.com:80'] });
    browser = await launch(sites.arguments);
  });
  after(async () => {
    await browser?.close();
    await sites?.stop();
  });
  afterEach(async () => {
    await page?.context().close();
    await server?.stop();
    page = server = null;
  });

  async function start(limits) {
    server = await Server.start({
      config: { stream: { retry_ms: 100 }, auth: { required: false }, cors: { allow_origins: ['http://app.example.com'] }, limits },
    });
    sites.use(server.port);
    page = await (await browser.newContext()).newPage();
    await page.goto('http://app.example.com');
    await page.waitForFunction(() => globalThis.front);
  }

  const listen = () => page.evaluate((url) => front.listen(url, true), `${push}/events`);
  const look = (stream) => page.evaluate((index) => front.look(index), stream);
  const lookAtAll = () => page.evaluate(() => front.streams.map((_, index) => front.look(index)));
  const greeted = (stream) => until(async () => (await look(stream)).greeted, 'the stream opens', 15_000);
  const limited = () => server.metric('ringcast_limited_total');

  test('ComesBackByItselfWhenAStreamOfItsAddressEnds', async () => {
    await start({ streams_per_address: 2 });
    const streams = [await listen(), await listen()];
    for (const stream of streams) await greeted(stream);
    const third = await listen();
    const seen = await until(async () => {
      const now = await look(third);
      return now.refused.length >= 2 && now;
    }, 'it is refused, and refused again');
    assert.deepEqual([...new Set(seen.refused)], ['too many streams from your address']);
    assert.notEqual(seen.readyState, 2, 'the browser has given it up');
    assert.ok(!seen.greeted);
    assert.equal(await server.metric('ringcast_streams_open'), 2);

    await page.evaluate((index) => front.close(index), streams[0]);
    await greeted(third);
    const id = await server.publish({ data: 'there is room' });
    for (const stream of [streams[1], third]) {
      await until(async () => (await look(stream)).events.some((event) => event.id === id), 'the event');
    }
    assert.deepEqual((await look(streams[1])).errors, 0, 'the other stream was touched');
  });

  test('ComesBackByItselfWhenItsAddressMayConnectAgain', async () => {
    await start({ connect_per_second_per_address: 2 });
    const streams = [];
    for (let i = 0; i < 5; ++i) streams.push(await listen());
    await until(async () => (await lookAtAll()).every(({ greeted }) => greeted), 'all of them open', 15_000);
    const seen = await lookAtAll();
    const reasons = seen.flatMap(({ refused }) => refused);
    assert.ok(reasons.length > 0, 'none was refused');
    assert.deepEqual([...new Set(reasons)], ['too many new connections from your address']);
    assert.deepEqual(seen.map(({ readyState }) => readyState), [1, 1, 1, 1, 1]);
    assert.equal(await limited(), reasons.length);
    // Our own connection counts, too.
    const id = await until(() => server.publish({ data: 'for all' }).catch(() => null), 'an event is published');
    for (const stream of streams) await until(async () => (await look(stream)).events.some((event) => event.id === id), 'the event');
  });

  test('GivesUpWhereTheConfigurationWantsAStatus', async () => {
    await start({ streams_per_address: 1, refusal: 'status' });
    await greeted(await listen());
    const second = await listen();
    const seen = await until(async () => {
      const now = await look(second);
      return now.readyState === 2 && now;
    }, 'the browser gives it up');
    assert.deepEqual([seen.opened, seen.refused], [0, []]);
    const read = await page.evaluate((url) => front.ask(url), `${push}/events`);
    assert.deepEqual([read.status, read.body], [429, { error: 'too many streams from your address' }]);
  });
});
