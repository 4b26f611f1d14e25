// SIGHUP: what may change does, for those who come later; open streams notice nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

import { compareIds, describeInEachMode, random, request, Server, sleep, until } from './harness.mjs';
import { browser, open, Visits } from './visitors.mjs';
import { Stream } from './wire.mjs';

const json = { 'Content-Type': 'application/json' };

/** As an editor does it: whoever reads the file meanwhile sees the old one or the new one. */
function replaceFile(file, from, to) {
  fs.writeFileSync(`${file}.new`, fs.readFileSync(file, 'utf8').replace(from, to));
  fs.renameSync(`${file}.new`, file);
}

describeInEachMode('reload', (descriptors) => {
  async function withServer(config, body) {
    const server = await Server.start({ descriptors, config });
    const streams = [];
    const visits = new Visits(server);
    const stream = async (options) => {
      const opened = await Stream.open(server, options);
      streams.push(opened);
      return opened;
    };
    try {
      await body({ server, stream, visits });
    } finally {
      streams.forEach((opened) => opened.connection.close());
      visits.closeAll();
      await server.stop();
    }
  }

  const post = (server, event, headers) => server.post(event, { ...json, ...headers });

  /** Publishes, and each of these streams gets it. */
  async function assertAllHear(server, streams, event = { data: 'still there?' }, headers = {}) {
    const answer = await post(server, event, headers);
    assert.equal(answer.status, 204, answer.text);
    const id = answer.headers['event-id'];
    await Promise.all(streams.map((one) => one.waitFor((block) => block.id === id, 'an event after the reload')));
  }

  /** Opens it some times, so that every shard is asked. */
  const some = (stream, options) => Promise.all(Array.from({ length: 8 }, () => stream(options)));
  const statuses = (streams) => [...new Set(streams.map((one) => one.head.status))];

  test('OriginsChangeForThoseWhoComeLater', () =>
    withServer({ cors: { allow_origins: ['https://old.example'] } }, async ({ server, stream }) => {
      const from = (origin) => ({ headers: { Origin: origin } });
      const old = await stream(from('https://old.example'));
      assert.equal((await stream(from('https://new.example'))).head.status, 403);
      await server.reload({ cors: { allow_origins: ['https://new.example'] } });

      assert.deepEqual(statuses(await some(stream, from('https://old.example'))), [403]);
      const fresh = await some(stream, from('https://new.example'));
      fresh.forEach((one) => assert.equal(one.head.headers['access-control-allow-origin'], 'https://new.example'));
      const preflight = await request(`${server.url}/events`, {
        method: 'OPTIONS',
        headers: { Origin: 'https://new.example', 'Access-Control-Request-Method': 'GET' },
      });
      assert.equal(preflight.headers['access-control-allow-origin'], 'https://new.example');
      await assertAllHear(server, [old, ...fresh]);
    }));

  test('GrantsChangeForThoseWhoComeLater', () =>
    withServer(
      { auth: {}, 'auth.grants.ann': { subscribe: ['orders'], publish: ['orders'] }, 'auth.grants.bob': { subscribe: [], publish: [] } },
      async ({ server, stream }) => {
        const as = (user) => ({ path: '/events?topic=orders', headers: server.bearer(user) });
        const ann = await stream(as('ann'));
        assert.equal((await stream(as('bob'))).head.status, 403);
        await server.reload({
          'auth.grants.ann': { subscribe: [], publish: [] },
          'auth.grants.bob': { subscribe: ['orders'], publish: ['orders'] },
        });

        assert.deepEqual(statuses(await some(stream, as('ann'))), [403]);
        const bob = await some(stream, as('bob'));
        assert.deepEqual(statuses(bob), [200]);
        const event = { topic: 'orders', data: 'x' };
        assert.equal((await post(server, event, server.bearer('ann'))).status, 403);
        await assertAllHear(server, [ann, ...bob], event, server.bearer('bob'));
      },
    ));

  test('AnotherSecretRefusesOldTokensAndEndsNoStream', () =>
    withServer({ auth: {}, 'auth.grants."*"': { publish: [''] } }, async ({ server, stream }) => {
      const old = server.bearer('ann');
      const early = await stream({ headers: old });
      server.secret = 'another-secret-that-is-long-enough-for-every-algorithm-that-there-is';
      fs.writeFileSync(server.config.auth.secret_file, server.secret);
      await server.reload({});

      assert.deepEqual(statuses(await some(stream, { headers: old })), [401]);
      const late = await some(stream, { headers: server.bearer('ann') });
      assert.deepEqual(statuses(late), [200]);
      await assertAllHear(server, [early, ...late], { data: 'x' }, server.bearer('ann'));
    }));

  test('LimitsComeAndGoUnderOpenStreams', () =>
    withServer({}, async ({ server, stream, visits }) => {
      const early = [await stream(), await stream(), await stream()];
      await server.reload({ limits: { streams_per_address: 2, publish_per_second_per_user: 1, connect_per_second_per_address: 0 } });
      assert.equal(open(await visits.many(5)).length, 2);
      await sleep(1000);
      const answers = (await Promise.all([1, 2, 3, 4].map(() => post(server, { data: 'x' })))).map(({ status }) => status);
      assert.ok(answers.includes(204) && answers.includes(429), `${answers}`);

      // Lower than what is open: nobody is ended for it.
      await server.reload({ limits: { streams_per_address: 1, publish_per_second_per_user: 0 } });
      assert.equal(open(await visits.many(3)).length, 0);
      await assertAllHear(server, [...early, ...open(visits.all)]);
      open(visits.all)[0].close();
      await until(async () => (await server.metric('ringcast_streams_open')) === 4, 'one has gone');
      assert.equal(open(await visits.many(3)).length, 0, 'one is left, which is as many as there may be');

      await server.reload({ limits: { streams_per_address: 0 } });
      assert.equal(open(await visits.many(5)).length, 5);
      await server.reload({ limits: { streams_per_address: 3 } });
      visits.closeAll();
      await until(async () => (await server.metric('ringcast_streams_open')) === 3, 'those have gone');
      assert.equal(open(await visits.many(6)).length, 3, 'each gave back what it had taken, and no more');
      await assertAllHear(server, early);
    }));

  test('TrustedProxiesChange', () =>
    withServer({ limits: { streams_per_address: 1 } }, async ({ server, visits }) => {
      const as = (address) => ({ headers: { ...browser, 'X-Forwarded-For': address } });
      assert.ok((await visits.open(as('192.0.2.1'))).isStream);
      assert.ok(!(await visits.open(as('192.0.2.2'))).isStream);
      await server.reload({ server: { trusted_proxies: ['127.0.0.0/8'] } });
      assert.ok((await visits.open(as('192.0.2.2'))).isStream);
      assert.ok(!(await visits.open(as('192.0.2.2'))).isStream);
      await server.reload({ server: { trusted_proxies: [] } });
      assert.ok(!(await visits.open(as('192.0.2.3'))).isStream);
      await assertAllHear(server, open(visits.all));
    }));

  test('KeysThatNeedARestartAreNamedAndTheOthersTakeEffect', () =>
    withServer({ stream: { retry_ms: 1234 }, cors: {} }, async ({ server, stream }) => {
      const early = await stream();
      await server.reload({
        stream: { retry_ms: 4321 },
        history: { events: 128 },
        limits: { event_bytes: 1024 },
        cors: { allow_origins: ['https://app.example'] },
      });
      const line = server.output.split('\n').findLast((one) => one.includes('configuration reloaded'));
      const named = /next start: (.*)$/.exec(line)?.[1].split(', ').sort();
      assert.deepEqual(named, ['history.events', 'limits.event_bytes', 'stream.retry_ms']);

      const late = await stream({ headers: { Origin: 'https://app.example' } });
      assert.equal(late.head.headers['access-control-allow-origin'], 'https://app.example');
      await late.waitFor((block) => block.retry === 1234);
      await assertAllHear(server, [early, late], { data: 'x'.repeat(10_000) });

      // They are named as long as they wait, and not when they were taken back.
      await server.reload({ stream: { retry_ms: 1234 }, history: { events: 65536 }, limits: { event_bytes: 65536 } });
      assert.match(server.output.split('\n').findLast((one) => one.includes('configuration reloaded')), /reloaded$/);
    }));

  test('BrokenFileKeepsEverything', () =>
    withServer(
      { auth: {}, 'auth.grants.ann': { subscribe: ['orders'], publish: ['orders'] } },
      async ({ server, stream }) => {
        const headers = server.bearer('ann');
        const options = { path: '/events?topic=orders', headers };
        const streams = [await stream(options)];
        const good = fs.readFileSync(server.file, 'utf8');
        const broken = [
          ['no TOML', '[auth\n'],
          ['an unknown key', good.replace('[auth]', '[auth]\nsecert_file = "x"')],
          ['a value out of range', `${good}\n[cors]\nmax_age_seconds = -1\n`],
          ['a contradiction', `${good}\n[cors]\nallow_origins = ["*"]\nallow_credentials = true\n`],
          ['a secret that is not there', good.replace('jwt.secret', 'no-such-file')],
          ['a bad pattern', good.replace('["orders"]', '["or*ders"]')],
          ['an empty secret', good],
          ['no file', undefined],
        ];
        for (const [i, [what, text]] of broken.entries()) {
          if (text === undefined) fs.rmSync(server.file);
          else fs.writeFileSync(server.file, text);
          if (what === 'an empty secret') fs.writeFileSync(server.config.auth.secret_file, '');
          server.child.kill('SIGHUP');
          const said = () => (server.output.match(/was not reloaded, the old one stays in use/g) ?? []).length;
          await until(() => said() === i + 1, () => `the server refuses ${what} ${server.output}`);
          if (what === 'an empty secret') fs.writeFileSync(server.config.auth.secret_file, server.secret);
          const fresh = await stream(options);
          assert.equal(fresh.head.status, 200, what);
          streams.push(fresh);
          assert.equal((await stream({ ...options, path: '/events?topic=other' })).head.status, 403, what);
          await assertAllHear(server, streams, { topic: 'orders', data: what }, headers);
        }
        assert.doesNotMatch(server.output, new RegExp(server.secret));

        await server.reload({ 'auth.grants.ann': { subscribe: ['*'] } });
        assert.equal((await stream({ ...options, path: '/events?topic=other' })).head.status, 200, 'a good one is taken again');
      },
    ));

  test('AHundredSignalsUnderLoadLoseNothing', () =>
    withServer(
      { auth: {}, cors: { allow_origins: ['https://0.example'] }, 'auth.grants."*"': { subscribe: ['*'], publish: ['*'] } },
      async ({ server, stream }) => {
        const roll = random(7);
        const streams = [];
        for (let i = 0; i < 12; ++i) {
          const topic = ['a', 'b', 'c'][i % 3];
          streams.push(Object.assign(await stream({ path: `/events?topic=${topic}`, headers: server.bearer(`user ${i}`) }), { topic }));
        }
        let running = true;
        const sent = [];
        const publisher = async (which) => {
          const headers = server.bearer(`publisher ${which}`);
          for (let i = 0; running; ++i) {
            const topic = ['', 'a', 'b', 'c'][Math.floor(roll() * 4)];
            const data = `${which}.${i}`;
            const answer = await post(server, { data, ...(topic && { topic }) }, headers);
            assert.equal(answer.status, 204, answer.text);
            sent.push({ id: answer.headers['event-id'], topic, data });
            await sleep(1);
          }
        };
        // Those who come back all the time: what they see never has a hole.
        const comer = async () => {
          let position = '0-0';
          const seen = [];
          while (running) {
            const one = await Stream.open(server, { path: '/events?topic=a', headers: { ...server.bearer('comer'), 'Last-Event-ID': position } });
            assert.equal(one.head.status, 200);
            await sleep(20);
            assert.deepEqual(one.named('gap'), []);
            seen.push(...one.events);
            position = one.blocks.findLast((block) => block.id !== undefined)?.id ?? position;
            one.close();
          }
          return { seen, position };
        };
        const working = Promise.all([publisher(0), publisher(1), publisher(2)]);
        const coming = comer();
        try {
          for (let i = 1; i <= 100; ++i) {
            if (i % 10 === 0) replaceFile(server.file, /https:\/\/\d+\.example/, `https://${i}.example`);
            server.child.kill('SIGHUP');
            await sleep(i % 7 === 0 ? 20 : 3); // those that come faster than they are handled are one
          }
        } finally {
          running = false;
        }
        await working;
        const { seen, position } = await coming;
        const last = await post(server, { data: 'the last' }, server.bearer('ann'));
        const id = last.headers['event-id'];
        sent.push({ id, topic: '', data: 'the last' });
        sent.sort((a, b) => compareIds(a.id, b.id));
        const of = (topic) => sent.filter((event) => event.topic === '' || event.topic === topic).map((event) => [event.id, event.data]);
        const shown = (events) => events.map((event) => [event.id, event.data]);
        await Promise.all(streams.map((one) => one.waitFor((block) => block.id === id)));
        for (const one of streams) {
          assert.deepEqual(shown(one.events), of(one.topic));
          assert.deepEqual([...one.named('gap'), ...one.named('closing')], []);
        }
        assert.deepEqual(shown(seen), of('a').filter(([event]) => compareIds(event, position) <= 0));
        assert.ok(sent.length > 100, `only ${sent.length} events`);

        await until(async () => {
          const fresh = await stream({ headers: { ...server.bearer('ann'), Origin: 'https://100.example' } });
          return fresh.head.headers['access-control-allow-origin'] === 'https://100.example';
        }, 'the last one is in effect');
        assert.ok(server.output.match(/configuration reloaded/g).length >= 10, server.output);
        assert.doesNotMatch(server.output, /was not reloaded/);
      },
    ));
});
