// What a start says when Redis cannot be used: in plain words, with an exit code, at once when waiting does not help.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { channel, Cluster, streamKey } from './bridge.mjs';
import { scratchFolder } from './identity.mjs';
import { binary, patience, Server, sleep, until } from './harness.mjs';
import { freePort } from './nginx.mjs';
import { Redis } from './redis.mjs';

const execute = promisify(execFile);
const password = 'correct-horse';
const wrong = 'wrong-battery';

const scratch = scratchFolder();
let redis;
before(async () => {
  redis = await Redis.start();
  await redis.cli('ACL', 'SETUSER', 'ann', 'on', `>${password}`, 'allkeys', 'allchannels', '+@all');
});
after(async () => {
  await redis?.stop();
  scratch.remove();
});

/** Starts a server that must not start; what it said. `redis` is the section. */
async function refusal(section, { withinMs = 3000, code = 1 } = {}) {
  const begin = performance.now();
  let said;
  await assert.rejects(Server.start({ folder: scratch.folder, config: { redis: { start_timeout_seconds: 30, ...section } } }), (error) => {
    said = error.message;
    return true;
  });
  assert.ok(performance.now() - begin < withinMs * patience, `it took ${performance.now() - begin} ms`);
  assert.match(said, new RegExp(`"code":${code},"signal":null`), said);
  for (const secret of [password, wrong]) assert.ok(!said.includes(secret), `the password is shown: ${said}`);
  assert.doesNotMatch(said, /assert|terminate|core dumped/i);
  assert.doesNotMatch(said, /listening on/);
  return said;
}

/** Starts a server and publishes through it. */
async function works(section) {
  const server = await Server.start({ config: { redis: section } });
  try {
    await server.publish({ data: 'x' });
  } finally {
    await server.stop();
  }
  assert.ok(!server.output.includes(password), server.output);
}

describe('signing in to Redis', () => {
  test('WrongPasswordIsSaidAtOnce', async () => {
    const said = await refusal({ url: redis.url({ user: `ann:${wrong}` }) });
    assert.match(said, /does not know the user 'ann' with this password/);
    assert.match(said, /redis\.url/);
    assert.match(said, new RegExp(`127\\.0\\.0\\.1:${redis.port}`));
    await works({ url: redis.url({ user: `ann:${password}` }) });
  });

  test('PasswordThatIsWantedOrNotWantedIsSaidAtOnce', async () => {
    const closed = await Redis.start({ options: { requirepass: password } });
    try {
      assert.match(await refusal({ url: closed.url() }), /wants a password.*redis\.password_file/);
      assert.match(await refusal({ url: closed.url({ user: `:${wrong}` }) }), /does not know the user 'default' with this password/);
      await works({ url: closed.url({ user: `:${password}` }) });
    } finally {
      await closed.stop();
    }
    assert.match(await refusal({ url: redis.url({ user: `:${wrong}` }) }), /password/);
  });

  test('PasswordMayBeInAFileAndIsNeverShown', async () => {
    const file = scratch.write('redis.password', `${password}\n`);
    await works({ url: redis.url({ user: 'ann' }), password_file: file });
    const other = scratch.write('wrong.password', `${wrong}\n`);
    assert.match(await refusal({ url: redis.url({ user: 'ann' }), password_file: other }), /does not know the user 'ann'/);
    const missing = await refusal({ url: redis.url({ user: 'ann' }), password_file: '/nowhere/redis.password' });
    assert.match(missing, /password_file/);
    assert.match(missing, /\/nowhere\/redis\.password.*No such file/);

    const config = scratch.write('check.toml', `[redis]\nurl = "redis://ann:${password}@127.0.0.1:${redis.port}"\n`);
    const { stdout } = await execute(binary, ['check', '--config', config]);
    assert.match(stdout, /url = "redis:\/\/ann:\*\*\*@127/);
    assert.ok(!stdout.includes(password));
  });

  test('WrongDatabaseIsSaidAtOnce', async () => {
    assert.match(await refusal({ url: redis.url({ database: 99 }) }), /no database 99/);
    await works({ url: redis.url({ database: 3 }) });
    assert.equal(await redis.cli('-n', 3, 'EXISTS', streamKey), '1');
  });

  test('UrlThatCannotBeUsedIsRefusedWithWhatToDo', async () => {
    assert.match(await refusal({ url: `rediss://127.0.0.1:${redis.port}` }, { code: 2 }), /TLS/);
    assert.match(await refusal({ url: 'http://127.0.0.1' }, { code: 2 }), /redis:\/\//);
  });
});

describe('permissions', () => {
  const everything = ['allkeys', 'allchannels', '+@all'];
  const setUser = (...rules) => redis.cli('ACL', 'SETUSER', 'bob', 'reset', 'on', `>${password}`, ...rules);
  const refused = () => refusal({ url: redis.url({ user: `bob:${password}` }) });

  for (const command of ['xadd', 'xread', 'xrange', 'xrevrange', 'xinfo', 'subscribe', 'publish', 'evalsha', 'client', 'set']) {
    test(`MissingPermissionIsNamed, ${command}`, async () => {
      await setUser(...everything, `-${command}`);
      const said = await refused();
      assert.match(said, new RegExp(`bob.*\\b${command}\\b`, 'i'));
      assert.match(said, /ACL SETUSER/);
    });
  }

  test('MissingKeysAndChannelsAreNamed', async () => {
    await setUser('~elsewhere*', 'allchannels', '+@all');
    assert.match(await refused(), new RegExp(`keys.*${streamKey}`));
    await setUser('allkeys', 'resetchannels', '+@all');
    const said = await refused();
    assert.match(said, new RegExp(`channels.*\\b${channel}\\b`));
    assert.match(said, new RegExp(`${streamKey}:marks`));
  });

  test('RuleThatIsProposedIsEnoughForEverything', async () => {
    await setUser('-@all');
    const said = await refused();
    const rule = /ACL SETUSER \S+ (.*)/.exec(said)[1].trim().split(/\s+/).map((word) => word.replace('PASSWORD', password).replace(/^"(.*)"$/, '$1'));
    await redis.cli('ACL', 'SETUSER', 'bob', 'reset', ...rule);
    assert.ok(!/allkeys|\+@all/.test(rule.join(' ')), rule.join(' '));
    const config = { redis: { url: redis.url({ user: `bob:${password}` }) }, history: { events: 64 } };
    await redis.cli('ACL', 'LOG', 'RESET');
    const cluster = await Cluster.start(2, { config, redis });
    try {
      const streams = await cluster.openAll();
      const client = await redis.client();
      for (let i = 0; i < 100; ++i) {
        assert.equal(await client.publish(channel, JSON.stringify({ data: `said ${i}` })), 2);
        await cluster.servers[i % 2].publish({ data: `${i}` });
      }
      await streams[0].waitForCount(200);
      const old = await cluster.open(cluster.servers[1], { path: '/events?last_event_id=0-0' });
      await old.waitForCount(200);
      const relay = await cluster.relay();
      cluster.servers.splice(cluster.servers.indexOf(relay), 1);
      await relay.stop();
      await cluster.relay();
      await client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'USER', 'bob']);
      await cluster.flush(streams.filter((stream) => stream.connection.socket.remotePort === cluster.servers[0].port));
      assert.equal(await redis.cli('ACL', 'LOG'), '', 'Redis has refused nothing');
      assert.doesNotMatch(cluster.servers[0].output, /NOPERM|may not/);
    } finally {
      cluster.streams.forEach((stream) => stream.close());
      for (const server of cluster.servers) await server.stop();
    }
  });
});

describe('other servers', () => {
  test('AReplicaIsSaidWithItsPrimary', async () => {
    const replica = await Redis.start({ options: { replicaof: ['127.0.0.1', String(redis.port)] } });
    try {
      const said = await refusal({ url: replica.url() });
      assert.match(said, /is a replica/);
      assert.match(said, new RegExp(`127\\.0\\.0\\.1:${redis.port}`), 'its primary is named');
    } finally {
      await replica.stop();
    }
  });

  test('ANodeOfAClusterWantsAHashTag', async () => {
    const node = await Redis.start({ options: { 'cluster-enabled': 'yes' } });
    try {
      assert.match(await refusal({ url: node.url() }), /cluster.*\{ringcast\}:events/i);
    } finally {
      await node.stop();
    }
  });

  for (const [key, command] of [
    [streamKey, ['SET', streamKey, 'x']],
    [`${streamKey}:relay`, ['LPUSH', `${streamKey}:relay`, 'x']],
    [`${streamKey}:epoch`, ['LPUSH', `${streamKey}:epoch`, 'x']],
    [`${streamKey}:relayed`, ['SET', `${streamKey}:relayed`, 'x']],
    [`${streamKey}:signed-out`, ['SET', `${streamKey}:signed-out`, 'x']],
  ]) {
    test(`AKeyOfAnotherTypeIsNamed, ${key}`, async () => {
      await redis.cli('-n', 5, 'FLUSHDB');
      await redis.cli('-n', 5, ...command);
      const said = await refusal({ url: redis.url({ database: 5 }) });
      assert.match(said, new RegExp(`something else.*"${key}"|something else.*\\\\"${key}\\\\"`));
      assert.equal(await redis.cli('-n', 5, 'EXISTS', key), '1', 'it is left alone');
    });
  }
});

describe('a Redis that is not there', () => {
  test('IsWaitedForAsLongAsIsConfigured', async () => {
    const port = await freePort();
    const begin = performance.now();
    const said = await refusal({ url: `redis://127.0.0.1:${port}`, start_timeout_seconds: 1 }, { withinMs: 4000 });
    assert.ok(performance.now() - begin >= 900, 'it waits');
    assert.match(said, /cannot be reached.*[Cc]onnection refused/);
    assert.match(said, /start_timeout_seconds/);
    assert.match(await refusal({ url: `redis://127.0.0.1:${port}`, start_timeout_seconds: 0 }, { withinMs: 1500 }), /cannot be reached/);
  });

  test('ThatSaysNothingOrSomethingElseIsSaid', async () => {
    for (const answer of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n']) {
      const stranger = net.createServer((socket) => socket.on('error', () => {}).on('data', () => answer && socket.end(answer)));
      await new Promise((resolve) => stranger.listen(0, '127.0.0.1', resolve));
      const sockets = [];
      stranger.on('connection', (socket) => sockets.push(socket));
      const said = await refusal({ url: `redis://127.0.0.1:${stranger.address().port}`, start_timeout_seconds: 1 }, { withinMs: 10_000 });
      assert.match(said, /Redis at 127\.0\.0\.1:\d+/);
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => stranger.close(resolve));
    }
  });

  test('IsUsedOnceItIsThere', async () => {
    const late = await Redis.start();
    await late.kill9();
    const server = Server.start({ config: { redis: { url: late.url(), start_timeout_seconds: 15 } } });
    server.catch(() => {});
    try {
      await sleep(700);
      await late.restart();
      const running = await server;
      assert.match(running.output, /waiting for it/);
      await running.publish({ data: 'x' });
      await running.stop();
    } finally {
      await late.stop();
    }
  });

  test('WaitingCanBeGivenUpWithASignal', async () => {
    const config = scratch.write('waiting.toml', `[server]\nlisten = ["127.0.0.1:0"]\nadmin_listen = ""\n[auth]\nrequired = false\n[redis]\nurl = "redis://127.0.0.1:${await freePort()}"\nstart_timeout_seconds = 60\n`);
    const child = execFile(binary, ['serve', '--config', config]);
    let output = '';
    for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (text) => (output += text));
    const exited = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
    try {
      await until(() => output.includes('waiting for it'), () => `it waits: ${output}`);
      const begin = performance.now();
      child.kill('SIGTERM');
      const status = await Promise.race([exited, sleep(3000 * patience)]);
      assert.ok(status, 'it ends');
      assert.ok(performance.now() - begin < 2000 * patience);
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
  });
});
