// Behind nginx as a reverse proxy, with its defaults and with kept connections.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { describeInEachMode, request, sharedServer, sleep, until } from './harness.mjs';
import { freePort, Nginx } from './nginx.mjs';

/** Two doors: nginx as it is without settings, and as it should be set up. */
async function startNginx(upstreamPort) {
  const [defaultPort, keepPort] = [await freePort(), await freePort()];
  const nginx = await Nginx.start(
    `upstream ringcast { server 127.0.0.1:${upstreamPort}; keepalive 8; }
    server {
      listen 127.0.0.1:${defaultPort};
      location / { proxy_pass http://127.0.0.1:${upstreamPort}; }
    }
    server {
      listen 127.0.0.1:${keepPort};
      location / {
        proxy_pass http://ringcast;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
      }
    }`,
    [defaultPort, keepPort],
  );
  return Object.assign(nginx, { defaultPort, keepPort });
}

describeInEachMode('nginx', (descriptors) => {
  const shared = sharedServer({ descriptors, config: { stream: { retry_ms: 100 } } });
  let nginx;
  before(async () => {
    nginx = await startNginx(shared.server.port);
  });
  after(async () => {
    await nginx?.stop();
  });

  const doors = {
    'its default settings': () => `http://127.0.0.1:${nginx.defaultPort}`,
    'HTTP/1.1 and kept connections': () => `http://127.0.0.1:${nginx.keepPort}`,
  };

  function listen(url, events, query = '') {
    const source = new EventSource(`${url}/events${query}`);
    source.addEventListener('message', (event) => events.push({ id: event.lastEventId, data: event.data, at: performance.now() }));
    let connected = false;
    source.addEventListener('heartbeat', () => (connected = true));
    return { source, connected: () => connected };
  }

  for (const [name, door] of Object.entries(doors)) {
    test(`EventsArriveAtOnceThrough ${name}`, async () => {
      const events = [];
      const begin = performance.now();
      const { source, connected } = listen(door(), events);
      try {
        await until(connected, 'the first bytes come through');
        assert.ok(performance.now() - begin < 1000, 'the first bytes were held back');
        for (let i = 0; i < 5; ++i) {
          const sentAt = performance.now();
          const id = await shared.server.publish({ data: `through ${i}` });
          await until(() => events.at(-1)?.id === id, 'the event');
          assert.ok(events.at(-1).at - sentAt < 1000, 'the event was held back');
        }
      } finally {
        source.close();
      }
    });

    test(`StreamResumesThrough ${name}`, async () => {
      const ids = [];
      for (let i = 0; i < 20; ++i) ids.push(await shared.server.publish({ data: `${i}` }));
      const events = [];
      const { source } = listen(door(), events, `?last_event_id=${ids[4]}`);
      try {
        await until(() => events.length >= 15, 'the missed events');
        ids.push(await shared.server.publish({ data: 'live' }));
        await until(() => events.length >= 16, 'the live event');
        assert.deepEqual(events.map((event) => event.id), ids.slice(5));
      } finally {
        source.close();
      }
    });

    test(`PublishingThrough ${name}`, async () => {
      const headers = { 'Content-Type': 'application/json' };
      const accepted = await shared.server.metric('ringcast_connections_accepted_total');
      for (let i = 0; i < 10; ++i) {
        const answer = await request(`${door()}/publish`, { method: 'POST', headers, body: '{"data":"x"}' });
        assert.equal(answer.status, 204, answer.text);
        assert.match(answer.headers['event-id'], /^\d+-\d+$/);
      }
      const opened = (await shared.server.metric('ringcast_connections_accepted_total')) - accepted;
      if (name.includes('kept')) assert.ok(opened <= 3, `${opened} connections for ten requests`);
    });

    test(`ClientThatLeavesIsNoticedThrough ${name}`, async () => {
      const before = await shared.server.metric('ringcast_streams_open');
      const { source, connected } = listen(door(), []);
      await until(connected, 'the stream');
      assert.equal(await shared.server.metric('ringcast_streams_open'), before + 1);
      source.close();
      await until(async () => (await shared.server.metric('ringcast_streams_open')) === before, 'the stream is gone');
    });
  }

  test('StreamsSurviveAReloadOfNginx', async () => {
    const events = [];
    const { source, connected } = listen(doors['HTTP/1.1 and kept connections'](), events);
    try {
      await until(connected, 'the stream');
      nginx.child.kill('SIGHUP');
      await sleep(500);
      const id = await shared.server.publish({ data: 'after the reload' });
      await until(() => events.at(-1)?.id === id, 'the event');
    } finally {
      source.close();
    }
  });
});
