// Pages of other origins: the situations of docs/cors.md in Chromium, with the configurations and scripts of that page.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { by, launch, launchThatKeepsAllCookies, waitForState } from './chromium.mjs';
import { chapters, configOf, namedTests } from './guide.mjs';
import { binary, request, Server, until } from './harness.mjs';
import { freePort, Nginx } from './nginx.mjs';
import { Sites } from './sites.mjs';

const guide = chapters('cors.md');
const push = 'https://push.example.com';
const app = 'https://app.example.com';
const stranger = 'https://app.elsewhere.example';
const password = 'a password of theirs';

describe('cross-origin', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-cors-'));
  const users_file = path.join(folder, 'users.htpasswd');
  let sites;
  let browser;
  let server;
  let nginx;
  const contexts = [];

  before(async () => {
    fs.writeFileSync(users_file, execFileSync('htpasswd', ['-nbB', '-C', '4', 'demo', password]));
    sites = await Sites.start({
      servers: ['push.example.com:443', 'push.example.org:443', 'localhost:8080'],
      pages: ['*.example.com:443', '*.example.net:443', '*.example.org:443', 'example.org:443', 'evilexample.org:443', '*.elsewhere.example:443',
        'localhost:5173', 'localhost:5174', '*.example.org:80', '*.example.org:8443'],
    });
    browser = await launch(sites.arguments);
  });
  after(async () => {
    await browser?.close();
    await sites?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await nginx?.stop();
    await server?.stop();
    nginx = server = null;
  });

  // ---------------------------------------------------------------------------------------- helpers
  /** The server as chapter `number` configures it, with `more` over it, behind the names of this file. */
  async function start(number, more = {}) {
    const config = configOf(guide[number].toml[0]);
    server = await Server.start({
      config: {
        stream: { retry_ms: 200 },
        limits: { publish_per_second_per_user: 25, login_per_minute_per_address: 0 },
        'auth.grants.demo': { subscribe: ['orders'], publish: ['', 'orders'] },
        'auth.grants.backend': { publish: ['*'] },
        ...config,
        ...more,
        server: { ...config.server, listen: ['127.0.0.1:0'] },
        auth: { users_file, ...config.auth, ...more.auth },
      },
    });
    sites.use(server.port);
  }

  async function visit(address, context) {
    if (!context) {
      context = await browser.newContext({ ignoreHTTPSErrors: true });
      contexts.push(context);
    }
    const page = await context.newPage();
    page.said = [];
    page.on('console', (message) => page.said.push(message.text()));
    await page.goto(address);
    await page.waitForFunction(() => globalThis.front);
    return page;
  }

  /** Runs the script of chapter `number` as it stands, with the names in `globals` that it leaves to the reader. */
  async function runScript(page, number, globals = {}, change = (script) => script) {
    await page.evaluate((values) => {
      Object.assign(globalThis, values, { shown: [], show: (data) => shown.push(data), asked_to_sign_in: 0 });
      globalThis.show_sign_in = () => (asked_to_sign_in += 1);
    }, globals);
    let script = change(guide[number].js[0]);
    if (/^const events = /m.test(script)) script += '\nglobalThis.events = events; events.addEventListener("message", (event) => shown.push(event.data));';
    await page.addScriptTag({ type: 'module', content: script });
  }

  const call = (page, name, ...values) => page.evaluate(([name, values]) => front[name](...values), [name, values]);
  const opened = (page, index) => until(async () => (await call(page, 'look', index)).greeted, 'the stream opens');
  const received = (page, index, data) =>
    until(async () => (await call(page, 'look', index)).events.find((event) => event.data === data), `the event ${data}`);
  const showed = (page, data) => until(() => page.evaluate((wanted) => globalThis.shown?.includes(wanted), data), `the page shows ${data}`);
  const publishFromHere = async (data, topic) => {
    const answer = await server.post({ data, ...(topic && { topic }) }, { 'Content-Type': 'application/json', ...server.bearer('backend') });
    assert.equal(answer.status, 204, answer.text);
    return answer.headers['event-id'];
  };
  const signIn = (page, url, word = password) => call(page, 'post', `${url}/login`, { username: 'demo', password: word }, { credentials: 'include' });

  /** Everything that a front end does, with a token or with the cookie; gives the stream's number. */
  async function useAll(page, url, how) {
    const options = how === 'token' ? { headers: server.bearer('demo') } : { credentials: 'include' };
    const nobody = how === 'token' ? { headers: { Authorization: 'Bearer of nothing' } } : options;
    const refused = await call(page, 'post', `${url}/publish`, { data: 'nobody' }, nobody);
    assert.deepEqual([refused.status, refused.body], [401, { error: 'unauthorized' }]);
    if (how === 'cookie') {
      const wrong = await signIn(page, url, 'wrong');
      assert.deepEqual([wrong.status, wrong.body], [401, { error: 'invalid credentials' }]);
      const right = await signIn(page, url);
      assert.deepEqual([right.status, right.body], [200, { status: 'ok' }]);
    }
    const stream =
      how === 'token'
        ? await call(page, 'listenByFetch', `${url}/events?topic=orders`, options.headers)
        : await call(page, 'listen', `${url}/events?topic=orders`, true);
    await opened(page, stream);
    const data = `from a page, ${how}`;
    const published = await call(page, 'post', `${url}/publish`, { data, topic: 'orders' }, options);
    assert.equal(published.status, 204);
    assert.match(published.id ?? 'none', /^\d+-\d+$/, 'Event-Id is not exposed');
    assert.equal((await received(page, stream, data)).id, published.id);

    const bad = await call(page, 'post', `${url}/publish`, { event: 1, data: '' }, options);
    assert.equal(bad.status, 400);
    assert.match(bad.body.error, /^event: /);
    const forbidden = await call(page, 'post', `${url}/publish`, { topic: 'secret', data: '' }, options);
    assert.deepEqual([forbidden.status, forbidden.body], [403, { error: 'topic: you may not publish to "secret"' }]);
    const unread = await call(page, 'ask', `${url}/events?topic=secret`, options);
    assert.deepEqual([unread.status, unread.body], [403, { error: 'topic: you may not read "secret"' }]);
    const burst = await page.evaluate(
      ([url, options]) => Promise.all(Array.from({ length: 40 }, () => front.post(`${url}/publish`, { event: 'burst', data: '' }, options))),
      [url, options],
    );
    const tooMany = burst.find((one) => one.status === 429);
    assert.deepEqual(tooMany?.body, { error: 'you publish too fast' }, JSON.stringify(burst));
    return stream;
  }

  /** A page of an origin that is not listed gets nothing, with the cookie and with a token. */
  async function getsNothing(page, url) {
    const counted = async () => Promise.all(['publishes_accepted', 'origins_refused'].map((name) => server.metric(`ringcast_${name}_total`)));
    const [published, refused] = await counted();
    for (const withCredentials of [true, false]) {
      const stream = await call(page, 'listen', `${url}/events`, withCredentials);
      const seen = await until(async () => {
        const now = await call(page, 'look', stream);
        return now.readyState === 2 && now;
      }, 'the browser gives the stream up');
      assert.deepEqual([seen.opened, seen.events, seen.refused], [0, [], []]);
      assert.deepEqual(await call(page, 'ask', `${url}/session`, { credentials: withCredentials ? 'include' : 'omit' }), { failed: 'TypeError' });
    }
    for (const options of [{ credentials: 'include' }, { headers: server.bearer('demo') }]) {
      assert.deepEqual(await call(page, 'post', `${url}/publish`, { data: 'stolen' }, options), { failed: 'TypeError' });
    }
    assert.equal((await signIn(page, url)).failed, 'TypeError');
    const [publishedNow, refusedNow] = await counted();
    assert.equal(publishedNow, published);
    assert.ok(refusedNow >= refused + 5, 'it was not the server that refused: two streams, three preflights');
  }

  /** What stands in the answers to each kind of request, asked without a browser. */
  async function checkHeaders(origin, allowed, credentials) {
    const ask = (target, options = {}) => request(`${server.url}${target}`, { ...options, headers: { Origin: origin, ...options.headers } });
    const json = { 'Content-Type': 'application/json' };
    const preflight = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' };
    const answers = {
      preflight: await ask('/publish', { method: 'OPTIONS', headers: preflight }),
      asset: await ask('/'),
      script: await ask('/live.js'),
      '204': await ask('/publish', { method: 'POST', headers: { ...json, ...server.bearer('backend') }, body: '{"data":"headers"}' }),
      '400': await ask('/publish', { method: 'POST', headers: { ...json, ...server.bearer('backend') }, body: '{' }),
      '401': await ask('/session'),
      '401 of a stream': await ask('/events', { headers: { Authorization: 'Bearer x' } }),
      '403': await ask('/events?topic=secret', { headers: server.bearer('backend') }),
      '404': await ask('/nothing'),
      '405': await ask('/publish', { method: 'DELETE' }),
      '415': await ask('/publish', { method: 'POST', headers: { 'Content-Type': 'text/plain', ...server.bearer('backend') }, body: 'x' }),
    };
    for (const [what, { status, headers }] of Object.entries(answers)) {
      if (/^\d/.test(what)) assert.equal(status, Number(what.slice(0, 3)), what);
      assert.match(headers.vary ?? '', /(^|, )Origin(,|$)/, `Vary of ${what}`);
      const cors = Object.entries(headers).filter(([name]) => name.startsWith('access-control-'));
      if (!allowed) {
        assert.deepEqual(cors, [], `${what} for an origin that is not allowed`);
        continue;
      }
      assert.equal(headers['access-control-allow-origin'], allowed, what);
      assert.equal(headers['access-control-allow-credentials'], credentials ? 'true' : undefined, what);
      assert.match(headers['access-control-expose-headers'] ?? '', /\bEvent-Id\b/, what);
    }
    assert.equal(answers.preflight.status, 204);
  }

  // ------------------------------------------------------------------------------- eight situations
  test('LocalFrontEndSignsInAndListens', async () => {
    await start(1);
    const page = await visit('http://localhost:5173');
    await runScript(page, 1, { password });
    await until(() => page.evaluate(() => globalThis.events?.readyState === 1), 'the script of the guide opens its stream');
    const id = await publishFromHere('for a local page');
    await until(() => page.said.includes(`${id} for a local page`), () => `the page logs it: ${page.said}`);

    await useAll(await visit('http://localhost:5173'), 'http://localhost:8080', 'cookie');
    await getsNothing(await visit('http://localhost:5174'), 'http://localhost:8080');
    await checkHeaders('http://localhost:3000', 'http://localhost:3000', true);
    await checkHeaders('http://127.0.0.1:5173', null);
  });

  test('SeveralProductionOriginsAreEachAnsweredWithThemselves', async () => {
    await start(2);
    const pages = [];
    for (const origin of ['https://app.example.com', 'https://admin.example.com', 'https://shop.example.net']) {
      const page = await visit(origin);
      await runScript(page, 2, { token: server.token('demo') });
      await until(() => page.evaluate(() => globalThis.events?.readyState === 1), `a stream on ${origin}`);
      await checkHeaders(origin, origin, false);
      pages.push(page);
    }
    await publishFromHere('for all three', 'orders');
    for (const page of pages) await showed(page, 'for all three');
    await useAll(pages[2], push, 'token');
    // The cookie is of no use to them.
    assert.equal((await signIn(pages[0], push)).failed, 'TypeError');
    await getsNothing(await visit(stranger), push);
    await checkHeaders(stranger, null);
  });

  test('AnyOriginReadsWithoutCredentials', async () => {
    await start(3);
    const page = await visit(stranger);
    const token = server.token('public');
    await runScript(page, 3, {}, (script) => script.replace(/"eyJ[^"]*"/, JSON.stringify(token)));
    await until(() => page.evaluate(() => globalThis.events?.readyState === 1), 'the stream of the public token');
    await publishFromHere('for everybody');
    await showed(page, 'for everybody');
    const denied = await call(page, 'post', `${push}/publish`, { data: 'x' }, { headers: { Authorization: `Bearer ${token}` } });
    assert.deepEqual([denied.status, denied.body], [403, { error: 'topic: you may not publish to the public room' }]);
    // Without a token only a cookie could say who it is, and none may.
    const without = await call(page, 'post', `${push}/publish`, { data: 'x' });
    assert.deepEqual([without.status, without.body], [403, { error: 'this origin may not do that' }]);

    await useAll(page, push, 'token');
    // A browser does not take `*` for an answer to a request with credentials.
    assert.equal((await signIn(page, push)).failed, 'TypeError');
    const native = await call(page, 'listen', `${push}/events`, true);
    await until(async () => (await call(page, 'look', native)).readyState === 2, 'the browser gives it up');
    await checkHeaders(stranger, '*', false);
    await checkHeaders('null', '*', false);
  });

  test('AnyOriginListensToAServerThatAsksNobody', async () => {
    await start(3, { auth: { required: false } });
    const page = await visit(stranger);
    const stream = await call(page, 'listen', `${push}/events`);
    await opened(page, stream);
    const { id } = await call(page, 'post', `${push}/publish`, { data: 'anonymous' });
    assert.equal((await received(page, stream, 'anonymous')).id, id);
  });

  test('CookiesWorkFromAnotherOriginOfTheSite', async () => {
    await start(4);
    const page = await visit(app);
    await runScript(page, 4, {}, (script) => `${script}\nglobalThis.guide = { sign_in, listen, sign_out };`);
    await page.waitForFunction(() => globalThis.guide);
    const error = await page.evaluate(() => guide.sign_in('demo', 'wrong').catch((error) => error.message));
    assert.equal(error, 'invalid credentials');
    await page.evaluate((word) => guide.sign_in('demo', word), password);
    await page.evaluate(() => guide.listen());
    await until(() => server.metric('ringcast_streams_open'), 'the stream');
    await publishFromHere('with a cookie');
    await showed(page, 'with a cookie');
    const [cookie] = await page.context().cookies(push);
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['token', true, 'Lax']);

    await page.evaluate(() => guide.sign_out());
    await until(async () => (await server.metric('ringcast_streams_open')) === 0, 'signing out ends the stream');
    assert.deepEqual(await page.context().cookies(push), []);
    assert.equal(await page.evaluate(() => asked_to_sign_in), 0);
    await page.evaluate(() => guide.listen());
    await until(() => page.evaluate(() => asked_to_sign_in === 1), 'without the cookie the page asks to sign in');

    const stream = await useAll(page, push, 'cookie');
    await getsNothing(await visit(stranger, page.context()), push);
    await getsNothing(await visit('https://other.example.com', page.context()), push); // of the same site
    assert.equal((await call(page, 'look', stream)).readyState, 1);
    await checkHeaders(app, app, true);
    await checkHeaders('https://app.example.com:8443', null);
  });

  test('CookiesWorkAcrossSites', async () => {
    const cors = { allow_origins: ['https://app.example.net'] };
    await start(4, { cors, auth: { same_site: 'none' } });
    const profile = await launchThatKeepsAllCookies(path.join(folder, 'profile'), sites.arguments);
    contexts.push(profile);
    const page = await visit('https://app.example.net', profile);
    await useAll(page, push, 'cookie');
    const [cookie] = await page.context().cookies(push);
    assert.deepEqual([cookie.sameSite, cookie.secure], ['None', true]);

    const sessionAfterSignIn = async (from) => {
      assert.equal((await signIn(from, push)).status, 200);
      return (await call(from, 'ask', `${push}/session`, { credentials: 'include' })).status;
    };
    // A browser that blocks third-party cookies, as Chromium does in private windows, keeps none.
    assert.equal(await sessionAfterSignIn(await visit('https://app.example.net')), 401);
    // With the default the cookie is for its own site.
    await profile.clearCookies();
    await server.reload({ auth: { same_site: 'lax' } });
    assert.equal(await sessionAfterSignIn(page), 401);
  });

  test('PreflightLetsTheFourHeadersThrough', async () => {
    await start(5);
    const page = await visit(app);
    sites.heads.length = 0;
    const preflights = () => sites.requests.filter((line) => line.startsWith('OPTIONS '));
    await runScript(page, 5, { token: server.token('demo') });
    await until(() => page.said.some((line) => /^published as \d+-\d+$/.test(line)), () => `the script of the guide publishes: ${page.said}`);
    assert.deepEqual(sites.requests, ['OPTIONS /publish', 'POST /publish']);
    const options = { headers: server.bearer('demo') };
    const second = await call(page, 'post', `${push}/publish`, { data: 'second', topic: 'orders' }, options);
    assert.equal(second.status, 204);
    assert.deepEqual(preflights(), ['OPTIONS /publish'], 'the first answer holds for max_age_seconds');

    const headers = { ...options.headers, 'Last-Event-ID': '0-0', 'Cache-Control': 'no-cache' };
    const stream = await call(page, 'listenByFetch', `${push}/events?topic=orders`, headers);
    assert.equal((await received(page, stream, '{"total":42}')).id, page.said.at(-1).replace('published as ', ''));
    assert.equal((await received(page, stream, 'second')).id, second.id);
    assert.deepEqual(preflights(), ['OPTIONS /publish', 'OPTIONS /events?topic=orders']);
    const fifth = await call(page, 'ask', `${push}/session`, { headers: { ...options.headers, 'X-Other': '1' } });
    assert.deepEqual(fifth, { failed: 'TypeError' });

    // No preflight: what forms and EventSource can send.
    sites.heads.length = 0;
    const form = { method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } };
    assert.equal((await call(page, 'ask', `${push}/login`, { ...form, body: new URLSearchParams({ username: 'demo', password }).toString() })).status, 200);
    await opened(page, await call(page, 'listen', `${push}/events`, true));
    assert.deepEqual(preflights(), []);
    await useAll(page, push, 'token');

    const asked = await request(`${server.url}/publish`, {
      method: 'OPTIONS',
      headers: { Host: 'push.example.com', Origin: app, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,content-type' },
    });
    const shown = guide[5].plain[0].split('HTTP/1.1 204 No Content\n')[1].trim().split('\n').map((line) => line.split(': '));
    for (const [name, value] of shown) assert.equal(asked.headers[name.toLowerCase()], value, `${name}, as the guide shows it`);
  });

  test('EachSubdomainIsAllowedAndNoOtherName', async () => {
    await start(6);
    for (const origin of ['https://alice.example.org', 'https://eu.bob.example.org']) {
      const page = await visit(origin);
      await useAll(page, 'https://push.example.org', 'cookie');
      await runScript(page, 6);
      await until(() => page.evaluate(() => globalThis.events?.readyState === 1), `the script of the guide on ${origin}`);
      await publishFromHere(`for ${origin}`);
      await showed(page, `for ${origin}`);
      await checkHeaders(origin, origin, true);
    }
    for (const origin of ['https://evilexample.org', 'http://alice.example.org', 'https://alice.example.org:8443']) {
      await checkHeaders(origin, null);
      await getsNothing(await visit(origin), 'https://push.example.org');
    }
    await checkHeaders('https://example.org', 'https://example.org', true); // listed by itself
  });

  test('NginxInFrontChangesNothing', async () => {
    await start(7);
    const [port, otherPort] = [await freePort(), await freePort()];
    const block = guide[7].nginx[0]
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace('push.pem', sites.certificate)
      .replace('push.key', sites.key)
      .replace('127.0.0.1:8080', `127.0.0.1:${server.port}`);
    const withoutHost = block.replace(`:${port} `, `:${otherPort} `).replace('proxy_set_header Host $http_host;', '');
    nginx = await Nginx.start(`${block}\n${withoutHost}`, [port, otherPort]);
    sites.use(server.port, port);
    const page = await visit(app);
    await useAll(page, push, 'cookie');
    const [cookie] = await page.context().cookies(push);
    assert.equal(cookie.secure, true, 'the cookie of a sign-in over TLS');
    await runScript(page, 7);
    await until(() => page.evaluate(() => globalThis.events?.readyState === 1), 'the script of the guide');
    await getsNothing(await visit(stranger), push);

    // The server's own pages, behind the same name; then with a Host that nginx has rewritten.
    async function ownPageSignsIn() {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      contexts.push(context);
      const own = await context.newPage();
      await own.goto(`${push}/login.html`);
      await own.fill(by('login-username'), 'demo');
      await own.fill(by('login-password'), password);
      await own.click(by('login-submit'));
      return own;
    }
    await waitForState(await ownPageSignsIn(), 'open');
    sites.use(server.port, otherPort);
    const foreign = await ownPageSignsIn();
    await foreign.waitForFunction((selector) => /origin/.test(document.querySelector(selector).textContent), by('login-error'));
    await server.reload({ server: { public_origins: [push] } });
    await waitForState(await ownPageSignsIn(), 'open');
  });

  test('OriginsChangeWhileStreamsAreOpen', async () => {
    await start(8, { cors: { allow_origins: [app] } });
    const old = await visit(app);
    await signIn(old, push);
    const stream = await call(old, 'listen', `${push}/events`, true);
    await opened(old, stream);
    const late = await visit('https://new.example.com', old.context());
    await getsNothing(late, push);
    await runScript(late, 8, {}, (script) => script.replace('5000', '100'));
    await until(async () => (await server.metric('ringcast_origins_refused_total')) > 3, 'its stream is refused');

    await server.reload({ cors: configOf(guide[8].toml[0]).cors });
    await until(async () => (await server.metric('ringcast_streams_open')) === 2, 'the new origin comes in by itself');
    await publishFromHere('for both');
    await showed(late, 'for both');
    await received(old, stream, 'for both');
    assert.equal((await call(late, 'post', `${push}/publish`, { data: 'from the new one' }, { credentials: 'include' })).status, 204);

    await server.reload({ cors: { allow_origins: ['https://new.example.com'] } });
    await publishFromHere('after it was taken out');
    await received(old, stream, 'after it was taken out');
    const { readyState, opened: times } = await call(old, 'look', stream);
    assert.deepEqual([readyState, times], [1, 1], 'the open stream was touched');
    await getsNothing(old, push);
    await checkHeaders(app, null);

    await server.reload({ cors: { allow_origins: ['*'], allow_credentials: true } });
    assert.match(server.output, /was not reloaded/);
    await checkHeaders('https://new.example.com', 'https://new.example.com', true);
    await checkHeaders(stranger, null);
  });

  // ------------------------------------------------------------------------------------ around them
  test('FramesWithoutAnOriginAreAllowedOnlyIfListed', async () => {
    await start(4, { cors: { allow_origins: [app] } });
    const page = await visit(app);
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json', ...server.bearer('demo') }, body: '{"data":"x"}' };
    assert.deepEqual(await call(page, 'askFromFrame', `${push}/publish`, init), { origin: 'null', failed: 'TypeError' });
    await checkHeaders('null', null);
    await server.reload({ cors: { allow_origins: [app, 'null'] } });
    assert.deepEqual(await call(page, 'askFromFrame', `${push}/publish`, init), { origin: 'null', status: 204 });
    await checkHeaders('null', 'null', true);
  });

  const check = (command, text) => {
    const file = path.join(folder, 'checked.toml');
    fs.writeFileSync(file, text);
    return spawnSync(binary, [command, '--config', file], { encoding: 'utf8', timeout: 10_000 });
  };

  test('EveryOriginWithCredentialsIsRefusedAtTheStart', () => {
    for (const command of ['serve', 'check']) {
      const { status, stderr } = check(command, '[server]\n[cors]\nallow_origins = ["*"]\nallow_credentials = true\n');
      assert.equal(status, 2, stderr);
      assert.match(stderr, /checked\.toml:4\b/);
      assert.match(stderr, /allow_credentials/);
    }
  });

  test('GuideShowsConfigurationsThatAreAccepted', () => {
    for (let number = 1; number <= 8; ++number) {
      assert.equal(guide[number].toml.length, 1, `chapter ${number}`);
      const { status, stdout, stderr } = check('check', guide[number].toml[0]);
      assert.equal(status, 0, `chapter ${number}: ${stderr}`);
      const { allow_origins } = configOf(guide[number].toml[0]).cors;
      for (const origin of allow_origins) assert.ok(stdout.includes(JSON.stringify(origin)), `chapter ${number}: ${stdout}`);
    }
  });

  test('GuideNamesTheTestOfEachSituation', () => {
    const named = namedTests('cors.md');
    assert.ok(named.length >= 8);
    const here = fs.readFileSync(new URL(import.meta.url), 'utf8');
    for (const name of named) assert.ok(here.includes(`test('${name}'`), `no test is called ${name}`);
  });
});
