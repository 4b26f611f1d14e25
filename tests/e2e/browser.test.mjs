// The live page in Chromium, as a person uses it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { by, launch, newPage, pictures, sizes, waitForEvent, waitForState, widths } from './chromium.mjs';
import { compareIds, describeInEachMode, Server } from './harness.mjs';

describeInEachMode('browser', (descriptors) => {
  let server;
  let browser;
  let context;

  before(async () => {
    server = await Server.start({ descriptors, config: { stream: { retry_ms: 200 } } });
    browser = await launch();
    console.log(`   screenshots: ${pictures}`);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  afterEach(async () => {
    await context?.close();
    context = null;
  });

  /** The live page, with its stream open. */
  async function livePage(size = sizes.desktop) {
    context = await browser.newContext(size);
    const page = await newPage(context);
    const answer = await page.goto(`${server.url}/`);
    assert.equal(answer.status(), 200);
    await waitForState(page, 'open');
    return page;
  }

  test('PublishedEventsAppearAsTheyCome', async () => {
    const page = await livePage();
    const id = await server.publish({ event: 'install', data: 'first of the page' });
    await waitForEvent(page, 'first of the page');
    await page.waitForFunction(
      ([selector, wanted]) => document.querySelector(selector).textContent.trim() === wanted,
      [by('cursor'), id],
      { timeout: 5000 },
    );
    await server.publish({ data: '<b id=injected>& not markup' });
    await waitForEvent(page, '<b id=injected>& not markup');
    assert.equal(await page.locator('#injected').count(), 0, 'data of an event became markup');
    assert.deepEqual(page.complaints, []);
  });

  test('FormPublishes', async () => {
    const page = await livePage();
    await page.fill(by('publish-event'), 'greeting');
    await page.fill(by('publish-data'), 'written by hand\nin two lines');
    await page.fill(by('publish-topic'), '');
    await page.click(by('publish-send'));
    await waitForEvent(page, 'written by hand');
    await waitForEvent(page, 'greeting');
    assert.deepEqual(page.complaints, []);
  });

  test('FormShowsWhyAnEventWasRefused', async () => {
    const page = await livePage();
    await page.fill(by('publish-event'), 'x'.repeat(257));
    await page.fill(by('publish-data'), 'never to be seen');
    await page.click(by('publish-send'));
    await page.waitForFunction(() => /event: /.test(document.body.innerText), null, { timeout: 5000 });
    assert.ok(!(await page.textContent(by('events'))).includes('never to be seen'));
  });

  test('PageComesBackWhenTheServerRestarts', async () => {
    const page = await livePage();
    const before = await server.publish({ data: 'before the restart' });
    await waitForEvent(page, 'before the restart');
    const reconnects = Number((await page.textContent(by('reconnects'))).trim());

    // The same port and state: as a service manager restarts it.
    const { folder, port } = server;
    server.ownsFolder = false;
    await server.stop();
    await page.waitForFunction((selector) => document.querySelector(selector).textContent.trim() !== 'open', by('state'));
    server = await Server.start({ descriptors, folder, config: { server: { listen: [`127.0.0.1:${port}`] }, stream: { retry_ms: 200 } } });
    server.ownsFolder = true;

    await waitForState(page, 'open');
    const after = await server.publish({ data: 'after the restart' });
    await waitForEvent(page, 'after the restart');
    assert.equal(compareIds(before, after), -1, 'IDs grow across restarts');
    assert.ok(Number((await page.textContent(by('reconnects'))).trim()) > reconnects);
    // Chromium itself reports that nobody listened for a moment.
    assert.deepEqual(page.complaints.filter((text) => !/net::ERR_/.test(text)), []);
  });

  for (const [name, size] of Object.entries(sizes)) {
    test(`PageFitsOn ${name}`, async () => {
      const page = await livePage(size);
      for (let i = 1; i <= 8; ++i) {
        await server.publish({ event: i % 3 ? 'message' : 'install', data: i % 4 ? `event number ${i}` : { order: i, items: ['a', 'b'] } });
      }
      await server.publish({ data: `a long line ${'without spaces'.repeat(30)}` });
      await waitForEvent(page, 'a long line');
      await page.screenshot({ path: path.join(pictures, `${name}-${descriptors}.png`), fullPage: name === 'phone' });
      const [content, window] = await widths(page);
      assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
      assert.deepEqual(page.complaints, []);
    });
  }
});
