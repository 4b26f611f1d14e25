// Who signs out is signed out everywhere: on instances that run, that could not hear of it, and that start later.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { channel, streamKey, withCluster } from './bridge.mjs';
import { bearer, Client, cookieToken, scratchFolder, writeUsers } from './identity.mjs';
import { errorOf, request, sleep, until } from './harness.mjs';
import { Connection, Stream } from './wire.mjs';

const scratch = scratchFolder();
after(() => scratch.remove());
const secret = 's'.repeat(48);
let config;
before(() => {
  config = {
    auth: {
      secret_file: scratch.write('jwt.secret', secret),
      users_file: writeUsers(scratch.folder + '/users', { ann: 'password of ann' }),
    },
    'auth.grants."*"': { subscribe: ['orders'], publish: [''] },
    redis: { publish_timeout_seconds: 1 },
    history: { events: 64 },
  };
});

const signedIn = (count, body) => withCluster(count, () => ({ config, redis: { options: { appendonly: 'yes', appendfsync: 'always' } } }), async (cluster) => {
  for (const server of cluster.servers) server.secret = secret;
  await body(cluster);
});
const logout = (server, token) => request(`${server.url}/logout`, { method: 'POST', headers: bearer(token), body: '' });
const statusOf = async (server, token) => {
  const stream = await Stream.open(server, { headers: bearer(token) });
  stream.connection.close();
  return stream.head.status;
};

describe('signing out of one instance', () => {
  test('EndsTheStreamsOfTheTokenOnAllInstancesAndNoOthers', signedIn(3, async (cluster) => {
    const [a, b, c] = cluster.servers;
    const login = await new Client(a).login('ann', 'password of ann');
    assert.equal(login.status, 200);
    const token = cookieToken(login);
    const another = b.token('ann', { jti: 'another session of the same user' });
    const theirs = await Promise.all([a, b, b, c].map((server) => cluster.open(server, { headers: bearer(token) })));
    const others = await Promise.all([a, b, c].flatMap((server) => [another, server.token('bob')].map((their) => cluster.open(server, { headers: bearer(their) }))));
    const client = await cluster.redis.client();
    await client.publish(channel, JSON.stringify({ data: 'before' }));
    for (const stream of [...theirs, ...others]) await stream.waitForCount(1);

    const answer = await logout(b, token);
    assert.equal(answer.status, 204, answer.text);
    for (const stream of theirs) {
      await stream.waitForEnd();
      assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason: 'signed-out' });
      assert.ok(stream.gracefullyEnded);
    }
    for (const server of cluster.servers) {
      assert.equal(await statusOf(server, token), 401);
      const refused = await server.post({ data: 'x' }, { 'Content-Type': 'application/json', ...bearer(token) });
      assert.equal(refused.status, 401);
      errorOf(refused);
      assert.equal(await statusOf(server, another), 200);
    }
    await client.publish(channel, JSON.stringify({ data: 'after' }));
    for (const stream of others) {
      await stream.waitForCount(2);
      assert.deepEqual(stream.events.map(({ data }) => data), ['before', 'after']);
      assert.deepEqual([stream.named('closing'), stream.named('gap')], [[], []]);
    }
    for (const stream of theirs) assert.deepEqual(stream.events.map(({ data }) => data), ['before']);
  }));

  test('IsKnownToInstancesThatStartLater', signedIn(1, async (cluster) => {
    const [first] = cluster.servers;
    const token = first.token('ann', { jti: 'one' });
    const kept = first.token('ann', { jti: 'two' });
    assert.equal(await statusOf(first, token), 200);
    assert.equal((await logout(first, token)).status, 204);
    // Not only as long as the stream keeps the entry.
    await cluster.redis.cli('XTRIM', streamKey, 'MAXLEN', 0);
    const later = await cluster.add();
    later.secret = secret;
    await cluster.settled();
    assert.equal(await statusOf(later, token), 401);
    assert.equal(await statusOf(later, kept), 200);
    const [member] = (await cluster.redis.cli('ZRANGE', `${streamKey}:signed-out`, 0, -1, 'WITHSCORES')).split('\n');
    assert.ok(member && !member.includes(token.slice(0, 20)), 'the token itself is not there');
  }));

  for (const [what, goAway, comeBack] of [
    ['frozen', (redis) => redis.freeze(), (redis) => redis.thaw()],
    ['dead', (redis) => redis.kill9(), (redis) => redis.restart()],
  ]) test(`TakesEffectHereAtOnceWhileRedisIsAwayAndElsewhereOnceItAnswers, ${what}`, signedIn(2, async (cluster) => {
    const [a, b] = cluster.servers;
    const token = a.token('ann', { jti: 'three' });
    const [here, there] = await Promise.all([a, b].map((server) => cluster.open(server, { headers: bearer(token) })));
    await Promise.all([here, there].map((stream) => stream.waitFor((block) => block.event === 'heartbeat')));
    await goAway(cluster.redis);
    try {
      const answer = await logout(a, token);
      assert.equal(answer.status, 503, answer.text);
      assert.match(errorOf(answer), /signed out on this server.*others/);
      assert.match(String(answer.headers['set-cookie']), /token=;/, 'the cookie goes in any case');
      assert.equal(await statusOf(a, token), 401);
    } finally {
      await comeBack(cluster.redis);
    }
    await here.waitForEnd();
    await there.waitForEnd(15_000);
    assert.deepEqual(JSON.parse(there.blocks.at(-1).data), { reason: 'signed-out' });
    assert.equal(await statusOf(b, token), 401);
    const later = await cluster.add();
    later.secret = secret;
    assert.equal(await statusOf(later, token), 401);
  }));
});

describe('signing out while an instance is away', () => {
  test('IsLearnedWhenItComesBack', signedIn(2, async (cluster) => {
    const [a, b] = cluster.servers;
    const token = a.token('ann', { jti: 'four' });
    const stream = await cluster.open(b, { headers: bearer(token) });
    await stream.waitFor((block) => block.event === 'heartbeat');
    b.child.kill('SIGSTOP');
    try {
      assert.equal((await logout(a, token)).status, 204);
      for (let i = 0; i < 50; ++i) await (await cluster.redis.client()).publish(channel, JSON.stringify({ data: `${i}` }));
      await sleep(200);
    } finally {
      b.child.kill('SIGCONT');
    }
    await stream.waitForEnd(10_000);
    assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason: 'signed-out' });
    assert.deepEqual(stream.events, [], 'nothing that was published after the sign-out');
    assert.equal(await statusOf(b, token), 401);
  }));
});

describe('signing out while old history is read', () => {
  test('LeavesNothingBehindOnTheConnection', signedIn(1, async (cluster) => {
    const [server] = cluster.servers;
    const token = server.token('ann', { jti: 'five' });
    const client = await cluster.redis.client();
    for (let i = 0; i < 200; ++i) await client.publish(channel, JSON.stringify({ data: 'old' }));
    await until(async () => (await server.metric('ringcast_hub_events_total')) === 200, 'all of it is read');
    const get = (path, their) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${their}\r\n\r\n`;
    const connection = await Connection.open(server.port);
    await cluster.redis.cli('CLIENT', 'PAUSE', 700, 'ALL');
    connection.write(get('/events?last_event_id=1-1', token));
    await sleep(100);
    const signingOut = logout(server, token);
    assert.equal((await connection.answer()).status, 401);
    assert.equal((await signingOut).status, 204);
    // Another's request on the same connection, as through a proxy.
    connection.write(get('/events', server.token('bob')));
    await connection.waitFor(/HTTP\/1\.1 200 OK[^]*event: heartbeat/);
    assert.equal(await server.metric('ringcast_streams_catching_up'), 0);
    assert.equal(await server.metric('ringcast_streams_open'), 1);
    await client.publish(channel, JSON.stringify({ data: 'still there' }));
    await connection.waitFor(/still there/);
    connection.close();
  }));
});
