// A page of somebody else, in a browser that is signed in: what it may send, it sends; nothing comes of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { launchThatKeepsAllCookies } from './chromium.mjs';
import { Server, until } from './harness.mjs';
import { Sites } from './sites.mjs';

const push = 'https://push.example.com';
const password = 'a password of theirs';
const foreigners = {
  'another site': 'https://evil.example.net',
  'another port of the same host': 'https://push.example.com:8443',
  'another host of the same site': 'https://blog.example.com',
};

describe('forged requests', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-csrf-'));
  let server;
  let sites;
  let browser;
  let victim; // the victim's page of the server itself, with its stream open

  before(async () => {
    const users_file = path.join(folder, 'users.htpasswd');
    const users = ['victim', 'attacker'].map((name) => execFileSync('htpasswd', ['-nbB', '-C', '4', name, password], { encoding: 'utf8' }));
    fs.writeFileSync(users_file, users.join(''));
    server = await Server.start({
      config: {
        // The cookie that goes with every request, so that nothing is refused for want of it.
        auth: { users_file, same_site: 'none' },
        'auth.grants."*"': { publish: ['*'] },
        limits: { login_per_minute_per_address: 0, login_per_minute_per_user: 0 },
      },
    });
    sites = await Sites.start({ servers: ['push.example.com:443'], pages: ['*.example.net:443', 'push.example.com:8443', 'blog.example.com:443'] });
    sites.use(server.port);
    browser = await launchThatKeepsAllCookies(path.join(folder, 'profile'), sites.arguments);
    victim = await browser.newPage();
  });
  // Anew for each test: an attack that works spoils no test but its own.
  beforeEach(async () => {
    await victim.goto(`${push}/login.html`);
    const signedIn = await victim.evaluate(async (word) => {
      const form = { method: 'POST', body: new URLSearchParams({ username: 'victim', password: word }) };
      const { status } = await fetch('/login', form);
      globalThis.source = new EventSource('/events');
      globalThis.events = [];
      globalThis.endings = [];
      source.onmessage = (event) => events.push(event.data);
      source.addEventListener('closing', (event) => endings.push(event.data));
      return status;
    }, password);
    assert.equal(signedIn, 200);
    await until(() => victim.evaluate(() => source.readyState === 1), 'the stream of the victim');
  });
  after(async () => {
    await browser?.close();
    await sites?.stop();
    await server?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const page of browser.pages()) if (page !== victim) await page.close();
  });

  const counter = (name) => server.metric(`ringcast_${name}_total`);
  const cookie = async () => (await browser.cookies(push)).find(({ name }) => name === 'token')?.value;

  /** What `attack` sends, a request like `arrived` with the cookie, changes nothing. */
  async function changesNothing(attack, { arrived, refused }) {
    const [published, refusals, before] = [await counter('publishes_accepted'), await counter('origins_refused'), await cookie()];
    assert.ok(before);
    sites.heads.length = 0;
    await attack();
    const head = await until(() => sites.heads.find((text) => arrived.test(text)), () => `the request is sent: ${sites.requests}`);
    if (!head.startsWith('OPTIONS')) assert.match(head, /\r\ncookie: token=/i, 'the browser kept the cookie back, so this shows nothing');
    if (refused) await until(async () => (await counter('origins_refused')) > refusals, 'the server refuses it for its origin');
    assert.equal(await cookie(), before, 'the cookie is another one');

    // The victim goes on as before, and sees nothing but its own event.
    const own = `own ${Math.random()}`;
    const answer = await victim.evaluate(async (data) => {
      const { user } = await (await fetch('/session')).json();
      const { status } = await fetch('/publish', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ data }) });
      return { user, status };
    }, own);
    assert.deepEqual(answer, { user: 'victim', status: 204 });
    await until(() => victim.evaluate((data) => events.includes(data), own), 'its event');
    assert.equal(await counter('publishes_accepted'), published + 1);
    const { strange, endings: ended, state } = await victim.evaluate(() => ({ strange: events.filter((data) => !data.startsWith('own ')), endings, state: source.readyState }));
    assert.deepEqual([strange, ended, state], [[], [], 1]);
  }

  async function visit(address) {
    const page = await browser.newPage();
    await page.goto(address);
    await page.waitForFunction(() => globalThis.front);
    return page;
  }

  /** Sends a form, as a page may to any address; the answer is shown in place of the page. */
  const sendForm = (page, action, fields, enctype = 'application/x-www-form-urlencoded') =>
    page.evaluate(
      ([action, fields, enctype]) => {
        const form = Object.assign(document.createElement('form'), { method: 'POST', action, enctype });
        for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement('input'), { name, value }));
        document.body.append(form);
        form.submit();
      },
      [action, fields, enctype],
    );

  for (const [who, origin] of Object.entries(foreigners)) {
    test(`FormsCannotPublishFrom ${who}`, async () => {
      for (const enctype of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
        const page = await visit(origin);
        // As text it arrives as {"data":"forged","x":"="}.
        await changesNothing(() => sendForm(page, `${push}/publish`, { '{"data":"forged","x":"': '"}' }, enctype), { arrived: /^POST \/publish/, refused: true });
      }
      const page = await visit(`${origin}/?referrer=no-referrer`); // then the origin is "null"
      await changesNothing(() => sendForm(page, `${push}/publish`, { data: 'forged' }), { arrived: /^POST \/publish/, refused: true });
    });

    test(`FetchCannotPublishFrom ${who}`, async () => {
      const page = await visit(origin);
      const send = (init) => page.evaluate(([url, init]) => front.ask(url, init), [`${push}/publish`, { method: 'POST', credentials: 'include', body: '{"data":"forged"}', ...init }]);
      await changesNothing(() => send({ mode: 'no-cors' }), { arrived: /^POST \/publish/, refused: true });
      await changesNothing(() => send({ mode: 'no-cors', keepalive: true, referrerPolicy: 'no-referrer' }), { arrived: /^POST \/publish/, refused: true });
      await changesNothing(() => send({ mode: 'cors' }), { arrived: /^POST \/publish/, refused: true });
      await changesNothing(() => send({ mode: 'cors', headers: { 'Content-Type': 'application/json' } }), { arrived: /^OPTIONS \/publish/, refused: true });
      await changesNothing(() => page.evaluate((url) => navigator.sendBeacon(url, '{"data":"forged"}'), `${push}/publish`), { arrived: /^POST \/publish/, refused: true });
    });

    test(`NobodyIsSignedOutFrom ${who}`, async () => {
      const page = await visit(origin);
      const url = `${push}/logout`;
      await changesNothing(() => page.evaluate((src) => void (new Image().src = src), url), { arrived: /^GET \/logout/ });
      for (const mode of ['no-cors', 'cors']) {
        await changesNothing(() => page.evaluate(([url, mode]) => front.ask(url, { method: 'POST', credentials: 'include', mode }), [url, mode]), { arrived: /^POST \/logout/, refused: true });
      }
      await changesNothing(() => page.goto(url), { arrived: /^GET \/logout/ });
      const second = await visit(origin);
      await changesNothing(() => sendForm(second, url, {}), { arrived: /^POST \/logout/, refused: true });
    });

    test(`NobodyIsSignedInAsAnotherFrom ${who}`, async () => {
      const fields = { username: 'attacker', password };
      const accepted = await counter('logins_accepted');
      const page = await visit(origin);
      const ask = (init) => page.evaluate(([url, init]) => front.ask(url, init), [`${push}/login`, { method: 'POST', credentials: 'include', ...init }]);
      const body = new URLSearchParams(fields).toString();
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
      await changesNothing(() => ask({ mode: 'no-cors', headers: form, body }), { arrived: /^POST \/login/, refused: true });
      await changesNothing(() => ask({ headers: form, body }), { arrived: /^POST \/login/, refused: true });
      await changesNothing(() => ask({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fields) }), { arrived: /^OPTIONS \/login/, refused: true });
      await changesNothing(() => sendForm(page, `${push}/login`, fields), { arrived: /^POST \/login/, refused: true });
      assert.equal(await counter('logins_accepted'), accepted);
    });

    test(`StreamCannotBeReadFrom ${who}`, async () => {
      const page = await visit(origin);
      const listen = async () => {
        const stream = await page.evaluate((url) => front.listen(url, true), `${push}/events`);
        await until(() => page.evaluate((index) => front.look(index).readyState === 2, stream), 'the browser gives it up');
      };
      await changesNothing(listen, { arrived: /^GET \/events/, refused: true });
    });
  }

  test('OriginsThatMaySendNoCookiesCannotUseThem', async () => {
    const origin = foreigners['another site'];
    await server.reload({ cors: { allow_origins: [origin], allow_credentials: false } });
    try {
      const page = await visit(origin);
      const send = (target, init) => page.evaluate(([url, init]) => front.ask(url, init), [`${push}${target}`, { method: 'POST', credentials: 'include', mode: 'no-cors', ...init }]);
      await changesNothing(() => send('/publish', { body: '{"data":"forged"}' }), { arrived: /^POST \/publish/, refused: true });
      await changesNothing(() => send('/logout'), { arrived: /^POST \/logout/, refused: true });
      await changesNothing(() => send('/login', { body: new URLSearchParams({ username: 'attacker', password }).toString(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }), {
        arrived: /^POST \/login/,
        refused: true,
      });
    } finally {
      await server.reload({ cors: { allow_origins: [] } });
    }
  });

  test('NavigationWithTheCookieOnlyShowsPages', async () => {
    const page = await visit(foreigners['another site']);
    const target = `${push}/publish?data=forged`;
    await changesNothing(() => page.evaluate((url) => void open(url), target), { arrived: /^GET \/publish/ });
    await changesNothing(() => page.goto(target), { arrived: /^GET \/publish/ });
    // That the cookie went with all of this: it does with a link to what shows who one is.
    await page.goto(`${push}/session`);
    assert.equal(JSON.parse(await page.textContent('body')).user, 'victim');
  });

  test('OwnPagesAreNotRefused', async () => {
    const refusals = await counter('origins_refused');
    const page = await browser.newPage();
    await page.goto(`${push}/login.html`);
    const accepted = await counter('logins_accepted');
    // As the page sends it where scripts are switched off.
    await page.evaluate((word) => {
      for (const [name, value] of [['username', 'attacker'], ['password', word]]) document.querySelector(`[name=${name}]`).value = value;
      HTMLFormElement.prototype.submit.call(document.querySelector('form')); // the button has the name, too
    }, password);
    await until(async () => (await counter('logins_accepted')) === accepted + 1, 'the form of the page signs in');
    assert.equal(await counter('origins_refused'), refusals);
  });
});
