// Signing in and out, as a person does: the sign-in page and the live page in Chromium.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { by, launch, newPage, pictures, sizes, waitForEvent, waitForState, waitForText, widths } from './chromium.mjs';
import { Server, until } from './harness.mjs';

const password = 'päss wörd ✓';

describe('sign-in', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-sign-in-'));
  let server;
  let browser;
  let context;

  before(async () => {
    const users_file = path.join(folder, 'users.htpasswd');
    fs.writeFileSync(users_file, execFileSync('htpasswd', ['-niB', '-C', '4', 'alice'], { input: password }));
    server = await Server.start({
      config: {
        stream: { retry_ms: 200 },
        auth: { users_file },
        'auth.grants.alice': { subscribe: ['orders'], publish: ['', 'orders'] },
        'auth.grants.backend': { publish: ['*'] },
        limits: { login_per_minute_per_address: 0 },
      },
    });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    await context?.close();
    context = null;
  });

  async function visit(target = '/', options = sizes.desktop) {
    context ??= await browser.newContext(options);
    const page = await newPage(context);
    await page.goto(`${server.url}${target}`);
    return page;
  }

  async function fillIn(page, word = password) {
    await page.fill(by('login-username'), 'alice');
    await page.fill(by('login-password'), word);
    await page.click(by('login-submit'));
  }

  // Waits for the scripts, too: before, the form is sent as it would be without any.
  async function toSignIn(page) {
    await page.click(by('sign-in'));
    await page.waitForURL('**/login.html*');
  }

  async function signedIn(target = '/') {
    const page = await visit('/login.html' + (target === '/' ? '' : `?next=${encodeURIComponent(target)}`));
    await fillIn(page);
    await waitForState(page, 'open');
    return page;
  }

  const publishFromBackend = async (event) => {
    const answer = await server.post(event, { 'Content-Type': 'application/json', ...server.bearer('backend') });
    assert.equal(answer.status, 204, answer.text);
  };
  const publishHere = async (page, { data, topic = '' }) => {
    await page.fill(by('publish-topic'), topic);
    await page.fill(by('publish-data'), data);
    await page.click(by('publish-send'));
  };
  // Chromium itself reports each answer of 4xx.
  const complaintsOf = (page) => page.complaints.filter((text) => !/^Failed to load resource.*\b4\d\d\b/.test(text));
  const streams = () => server.metric('ringcast_streams_open');
  const tokens = async () => (await context.cookies()).filter(({ name }) => name === 'token');

  test('WrongPasswordIsSaidAndTheRightOneLeadsToTheLivePage', async () => {
    const page = await visit('/');
    await waitForState(page, 'refused');
    await waitForText(page, 'reason', 'sign in first');
    await toSignIn(page);
    await fillIn(page, 'wrong');
    await waitForText(page, 'login-error', 'Wrong name or password');
    assert.deepEqual(await tokens(), []);
    assert.match(page.url(), /\/login\.html$/);

    await fillIn(page);
    await page.waitForURL(`${server.url}/`);
    await waitForState(page, 'open');
    await waitForText(page, 'session-user', 'Signed in as alice');
    const [cookie] = await tokens();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.secure, cookie.path], [true, 'Lax', false, '/']);
    assert.equal(await page.evaluate(() => document.cookie), '', 'a script can read the token');

    await publishHere(page, { data: 'from the one who signed in' });
    await waitForEvent(page, 'from the one who signed in');
    await waitForText(page, 'publish-result', 'Event-Id: ');
    assert.deepEqual(complaintsOf(page), []);
  });

  test('OwnRoomIsReachedAndThatOfOthersIsNot', async () => {
    const page = await signedIn();
    await publishFromBackend({ topic: 'user/bob', data: 'for bob alone' });
    await publishFromBackend({ topic: 'orders', data: 'nobody here asked for orders' });
    await publishFromBackend({ topic: 'user/alice', data: 'for alice alone' });
    await waitForEvent(page, 'for alice alone');
    const text = await page.textContent(by('events'));
    assert.ok(!text.includes('bob') && !text.includes('orders'), text);
  });

  test('SigningOutEndsTheStreamAndSaysWhy', async () => {
    const page = await signedIn();
    assert.equal(await streams(), 1);
    await page.click(by('sign-out'));
    await waitForState(page, 'closed');
    await waitForText(page, 'reason', 'signed out');
    await page.waitForSelector(`${by('sign-in')}:visible`);
    await page.waitForSelector(by('session-user'), { state: 'hidden' });
    await until(async () => (await streams()) === 0, 'the stream is gone');
    // The stream may say so before the answer to signing out has arrived, which takes the cookie away.
    await until(async () => (await tokens()).length === 0, 'the cookie is gone');
    await page.reload();
    await waitForText(page, 'reason', 'sign in first');
    assert.deepEqual(complaintsOf(page), []);
  });

  test('SigningOutInOneTabEndsTheStreamOfTheOther', async () => {
    const first = await signedIn();
    const second = await visit('/');
    await waitForState(second, 'open');
    const elsewhere = await browser.newContext(); // signed in by itself, with a token of its own
    try {
      const other = await newPage(elsewhere);
      await other.goto(`${server.url}/login.html`);
      await fillIn(other);
      await waitForState(other, 'open');

      await first.click(by('sign-out'));
      await waitForState(second, 'closed');
      await waitForText(second, 'reason', 'signed out');
      await second.waitForSelector(`${by('sign-in')}:visible`);
      await until(async () => (await streams()) === 1, 'both streams of the token are gone');
      await publishFromBackend({ data: 'for those who stayed' });
      await waitForEvent(other, 'for those who stayed');
      assert.equal((await other.textContent(by('state'))).trim(), 'open');
    } finally {
      await elsewhere.close();
    }
  });

  test('TokenThatWasSignedOutIsNotTakenAgain', async () => {
    const page = await signedIn();
    const [cookie] = await tokens();
    await page.click(by('sign-out'));
    await waitForState(page, 'closed');
    await context.addCookies([cookie]);
    await page.reload();
    await waitForText(page, 'reason', 'sign in first');
    await publishHere(page, { data: 'with a token of yesterday' });
    await waitForText(page, 'publish-result', '401');
  });

  test('ExpiredTokenEndsTheStreamAndSaysSo', async () => {
    context = await browser.newContext(sizes.desktop);
    const exp = Math.floor(Date.now() / 1000) + 5;
    await context.addCookies([{ name: 'token', value: server.token('alice', { exp }), url: server.url, httpOnly: true }]);
    const page = await visit('/#topic=orders');
    await waitForState(page, 'open');
    await publishFromBackend({ topic: 'orders', data: 'while it lasts' });
    await waitForEvent(page, 'while it lasts');
    await waitForState(page, 'closed');
    assert.ok(Date.now() / 1000 >= exp - 0.1, 'too early');
    assert.ok(Date.now() / 1000 < exp + 3, 'too late');
    await waitForText(page, 'reason', 'the session has expired');

    // From there back to the same topics.
    await toSignIn(page);
    await fillIn(page);
    await waitForState(page, 'open');
    assert.equal(page.url(), `${server.url}/#topic=orders`);
    await publishFromBackend({ topic: 'orders', data: 'after it' });
    await waitForEvent(page, 'after it');
  });

  test('RefusalsForWantOfAGrantNameTheTopic', async () => {
    const page = await signedIn();
    await publishHere(page, { data: 'x', topic: 'secret' });
    await waitForText(page, 'publish-result', '403 topic: you may not publish to "secret"');
    assert.equal(await page.getAttribute(by('publish-topic'), 'aria-invalid'), 'true');
    await publishHere(page, { data: 'to orders', topic: 'orders' });
    await waitForText(page, 'publish-result', 'Event-Id: ');

    await page.fill(by('topics'), 'orders, secret');
    await page.press(by('topics'), 'Enter');
    await waitForState(page, 'refused');
    await waitForText(page, 'reason', '403 topic: you may not read "secret"');
    await page.fill(by('topics'), 'orders');
    await page.press(by('topics'), 'Enter');
    await waitForState(page, 'open');
    await publishHere(page, { data: 'to orders again', topic: 'orders' });
    await waitForEvent(page, 'to orders again');
    assert.deepEqual(complaintsOf(page), []);
  });

  test('TooManyAttemptsAreSaidWithTheTimeToWait', async () => {
    await server.reload({ limits: { login_per_minute_per_address: 2 } });
    try {
      const page = await visit('/login.html');
      for (let i = 0; i < 2; ++i) {
        await fillIn(page, 'wrong');
        await waitForText(page, 'login-error', 'Wrong name or password');
        await page.waitForFunction((selector) => !document.querySelector(selector).disabled, by('login-submit'));
      }
      await fillIn(page);
      await waitForText(page, 'login-error', 'Too many attempts to sign in.');
      await waitForText(page, 'login-error', 'Try again in ');
      assert.equal(await page.isDisabled(by('login-submit')), true);
    } finally {
      await server.reload({ limits: { login_per_minute_per_address: 0 } });
    }
  });

  for (const [name, size] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`PagesFitOn ${name}, ${colorScheme}`, async () => {
        const picture = (what) => ({ path: path.join(pictures, `sign-in-${name}-${colorScheme}-${what}.png`) });
        const page = await visit('/login.html', { ...size, colorScheme });
        await page.screenshot(picture('empty'));
        await fillIn(page, 'wrong');
        await waitForText(page, 'login-error', 'Wrong name or password');
        await page.screenshot(picture('wrong'));
        const fits = async () => {
          const [content, window] = await widths(page);
          assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
        };
        await fits();
        await fillIn(page);
        await waitForState(page, 'open');
        await waitForText(page, 'session-user', 'alice');
        await publishFromBackend({ topic: 'user/alice', event: 'note', data: 'for alice alone' });
        await publishFromBackend({ data: 'for everybody' });
        await waitForEvent(page, 'for everybody');
        await page.screenshot(picture('open'));
        await fits();
        await page.click(by('sign-out'));
        await waitForState(page, 'closed');
        await page.screenshot(picture('signed-out'));
        await fits();
        assert.deepEqual(complaintsOf(page), []);
      });
    }
  }
});
