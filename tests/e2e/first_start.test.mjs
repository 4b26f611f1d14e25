// The first start: a user, a password that is shown once, and a secret, without anybody configuring anything.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';

import { binary, patience, until } from './harness.mjs';
import { auditOf, bearer, Client, cookie, cookieToken, now, scratchFolder } from './identity.mjs';
import { Stream } from './wire.mjs';

const scratch = scratchFolder();
after(() => scratch.remove());
const passwordForm = /[a-z2-9]{4}(?:-[a-z2-9]{4}){3}/;

/** The environment of somebody whose state is in `folder`, and nowhere else. */
function environment(folder) {
  const { STATE_DIRECTORY: _, ...rest } = process.env;
  return { ...rest, HOME: folder, XDG_STATE_HOME: folder };
}

const run = (args, env = process.env, cwd = scratch.folder) =>
  spawnSync(binary, args, { env, cwd, encoding: 'utf8', timeout: 20_000 * patience });

const started = new Set();
process.on('exit', () => started.forEach((child) => child.kill('SIGKILL')));

/** The server as somebody starts it by hand: {port, stdout, stderr, output, stop}. */
async function start(args, env) {
  // Files are to be private whatever the shell's mask is.
  const child = spawn('sh', ['-c', 'umask 000; exec "$0" "$@"', binary, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd: scratch.folder });
  started.add(child);
  const server = { child, stdout: '', stderr: '', get output() { return this.stdout + this.stderr; } };
  child.stdout.setEncoding('utf8').on('data', (text) => (server.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (server.stderr += text));
  const exited = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  exited.then((status) => (server.status = status)).then(() => started.delete(child));
  server.stop = async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await exited, { code: 0, signal: null }, server.output);
  };
  await until(() => /listening on/.test(server.stderr) || server.status, () => `the start: ${server.output}`, 10_000);
  assert.ok(!server.status, server.output);
  server.port = Number(/listening on http:\/\/[\d.]+:(\d+)/.exec(server.stderr)[1]);
  return server;
}

/** What the person at the terminal is told: {user, password}, once a client can have been answered. */
async function told(server) {
  await until(() => /Shown this once/.test(server.stdout), () => `the password in ${server.output}`);
  assert.equal(server.stdout.match(new RegExp(passwordForm, 'g')).length, 1, server.stdout);
  const [, user] = /sign in as +(\S+)/.exec(server.stdout);
  const [, password] = /password +(\S+)/.exec(server.stdout);
  assert.match(password, new RegExp(`^${passwordForm.source}$`));
  return { user, password };
}

async function withClient(server, body) {
  const client = new Client(server);
  try {
    return await body(client);
  } finally {
    client.close();
    await server.stop();
  }
}

const bare = ['--listen', '127.0.0.1:0', '--admin-listen', ''];
const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);
const freshFolder = (name) => {
  const folder = path.join(scratch.folder, name);
  fs.mkdirSync(folder);
  return folder;
};

describe('a first start', () => {
  test('MakesAUserAndASecretAndShowsThePasswordOnce', async () => {
    const home = freshFolder('bare');
    const state = path.join(home, 'ringcast');
    const first = await start(bare, environment(home));
    const { user, password } = await told(first);
    assert.equal(user, 'demo');
    const files = fs.readdirSync(state);
    for (const name of ['jwt.secret', 'users.htpasswd']) assert.ok(files.includes(name), files.join(' '));
    assert.deepEqual(files.filter((name) => name.includes('.new')), []);
    for (const name of ['jwt.secret', 'users.htpasswd']) assert.equal(mode(path.join(state, name)), '600', name);
    const users = fs.readFileSync(path.join(state, 'users.htpasswd'), 'utf8');
    assert.match(users, /^demo:\$2y\$10\$[./A-Za-z0-9]{53}\n$/);
    const secret = fs.readFileSync(path.join(state, 'jwt.secret'), 'utf8').trimEnd();
    assert.match(secret, /^[\w-]{64}$/);
    assert.ok(first.stdout.includes(path.join(state, 'users.htpasswd')), first.stdout);

    const token = await withClient(first, async (client) => {
      assert.equal((await client.login('demo', `${password}x`)).status, 401);
      assert.equal((await client.login('demo', 'demo')).status, 401);
      assert.equal((await client.ask('/session')).status, 401, 'nobody is let in without');
      const answer = await client.login(user, password);
      assert.equal(answer.status, 200, answer.text);
      const mine = cookie(cookieToken(answer));
      const stream = await Stream.open(first, { path: '/events?topic=anything', headers: mine });
      assert.equal((await client.publish({ topic: 'anything', data: 'demo may do everything' }, mine)).status, 204);
      assert.equal((await client.publish({ data: 'the public room too' }, mine)).status, 204);
      await stream.waitForCount(2);
      stream.close();
      return cookieToken(answer);
    });
    assert.ok(!first.stderr.includes(password), 'the log, which is kept, has the password');
    for (const text of [first.stdout, first.stderr]) assert.ok(!text.includes(secret), 'the secret is shown');

    const second = await start(bare, environment(home));
    await withClient(second, async (client) => {
      assert.equal((await client.login(user, password)).status, 200);
      assert.equal((await client.ask('/session', { headers: cookie(token) })).status, 200, 'the cookie of the first start');
    });
    assert.equal(second.stdout, '', 'what a second start prints');
    assert.doesNotMatch(second.stderr, passwordForm);
    assert.equal(fs.readFileSync(path.join(state, 'users.htpasswd'), 'utf8'), users);
    assert.equal(fs.readFileSync(path.join(state, 'jwt.secret'), 'utf8').trimEnd(), secret);
  });

  test('PasswordIsNotShownAgainOnReload', async () => {
    const home = freshFolder('reload');
    const server = await start(bare, environment(home));
    const { password } = await told(server);
    await withClient(server, async (client) => {
      for (let i = 1; i <= 2; ++i) {
        server.child.kill('SIGHUP');
        await until(() => (server.stderr.match(/configuration reloaded/g) ?? []).length === i, 'the reload');
      }
      assert.equal((await client.login('demo', password)).status, 200);
      assert.equal(server.stdout.split(password).length - 1, 1, server.stdout);
    });
  });

  test('TwoServersHaveDifferentPasswordsAndSecrets', async () => {
    const seen = new Set();
    for (const name of ['one', 'two']) {
      const home = freshFolder(name);
      const server = await start(bare, environment(home));
      seen.add((await told(server)).password);
      seen.add(fs.readFileSync(path.join(home, 'ringcast/jwt.secret'), 'utf8'));
      await server.stop();
    }
    assert.equal(seen.size, 4);
  });

  test('FilesThatAreThereAreUsedNotReplaced', async () => {
    const home = freshFolder('kept');
    const state = path.join(home, 'ringcast');
    fs.mkdirSync(state);
    fs.writeFileSync(path.join(state, 'jwt.secret'), 'x'.repeat(40), { mode: 0o600 });
    const first = await start(bare, environment(home));
    await told(first);
    await first.stop();
    assert.equal(fs.readFileSync(path.join(state, 'jwt.secret'), 'utf8'), 'x'.repeat(40));
    // An operator who wants another password: the file away, or another line in it.
    fs.rmSync(path.join(state, 'users.htpasswd'));
    const second = await start(bare, environment(home));
    const { password } = await told(second);
    await withClient(second, async (client) => assert.equal((await client.login('demo', password)).status, 200));
    fs.writeFileSync(path.join(state, 'jwt.secret'), 'short');
    const third = run(['serve', ...bare], environment(home));
    assert.equal(third.status, 1);
    assert.match(third.stderr, /server\.state_directory: .*jwt\.secret/);
    assert.equal(fs.readFileSync(path.join(state, 'jwt.secret'), 'utf8'), 'short', 'a damaged secret is not replaced');
  });
});

describe('ringcast token', () => {
  /** A configuration without any key in [auth]; its state lies beside it. */
  function configured(name, more = '') {
    const folder = freshFolder(name);
    const file = path.join(folder, 'ringcast.toml');
    fs.writeFileSync(file, `[server]\nlisten = ["127.0.0.1:0"]\nadmin_listen = ""\nstate_directory = "state"\n${more}`);
    return { folder, file };
  }
  const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

  test('TokensAreAcceptedWithTheirLimits', async () => {
    const { file } = configured('tokens', '[auth]\nissuer = "me"\naudience = "us"\n[auth.grants.alice]\nsubscribe = ["orders"]\npublish = ["orders"]\n');
    const server = await start(['--config', file], process.env);
    const made = (...options) => {
      const { status, stdout, stderr } = run(['token', '--config', file, '--user', 'alice', ...options]);
      assert.equal(status, 0, stderr);
      assert.equal(stderr, '');
      assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/, 'the token and nothing else');
      return stdout.trim();
    };
    await withClient(server, async (client) => {
      const may = async (token) => {
        const reads = async (topic) => {
          const fresh = await Stream.open(server, { path: `/events?topic=${topic}`, headers: bearer(token) });
          fresh.close();
          return fresh.head.status;
        };
        const publishes = async (topic) => (await client.publish({ topic, data: 'x' }, bearer(token))).status;
        return [await reads('orders'), await reads('prices'), await publishes('orders'), await publishes('prices'), await publishes('user/alice')];
      };
      const plain = made();
      assert.deepEqual([claimsOf(plain).sub, claimsOf(plain).iss, claimsOf(plain).aud, claimsOf(plain).ringcast], ['alice', 'me', 'us', undefined]);
      assert.ok(Math.abs(claimsOf(plain).exp - now() - 3600) <= 5);
      assert.deepEqual(await may(plain), [200, 403, 204, 403, 403], 'the grants of the configuration');
      assert.deepEqual(await may(made('--subscribe', 'prices', '--publish', 'user/*')), [403, 200, 403, 403, 204], 'those of the token alone');
      assert.deepEqual(await may(made('--subscribe', '*')), [200, 200, 403, 403, 403], 'reading alone');
      assert.deepEqual(await may(made('--publish', 'prices', '--publish', 'orders')), [403, 403, 204, 204, 403], 'publishing alone');
      const refused = await client.publish({ topic: 'prices', data: 'x' }, bearer(plain));
      assert.deepEqual(JSON.parse(refused.text), { error: 'topic: you may not publish to "prices"' });
      assert.deepEqual(await auditOf({ get output() { return server.stderr; } }, refused),
        { action: 'forbidden', address: '127.0.0.1', user: 'alice', reason: 'topic: you may not publish to \\"prices\\"' });

      const short = await Stream.open(server, { headers: bearer(made('--seconds', '2')) });
      const closing = await short.waitFor((block) => block.event === 'closing', 'its two seconds', 8000);
      assert.equal(closing.data, '{"reason":"expired"}');
      await short.waitForEnd();
      assert.notEqual(made(), made(), 'no two tokens are alike');
    });
  });

  test('BeforeTheFirstStartItMakesTheSecret', async () => {
    const { file, folder } = configured('before');
    const made = run(['token', '--config', file, '--user', 'script', '--publish', '*']);
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const password = passwordForm.exec(made.stderr)?.[0];
    assert.ok(password, made.stderr);
    for (const name of ['jwt.secret', 'users.htpasswd']) assert.equal(mode(path.join(folder, 'state', name)), '600');
    const server = await start(['--config', file], process.env);
    await withClient(server, async (client) => {
      assert.equal((await client.publish({ data: 'x' }, bearer(made.stdout.trim()))).status, 204);
      assert.equal((await client.login('demo', password)).status, 200);
    });
    assert.equal(server.stdout, '');
  });

  test('WhatCannotBeATokenIsSaid', () => {
    const { file } = configured('faults');
    const ask = (...options) => run(['token', '--config', file, ...options]);
    for (const [options, said] of [
      [[], /--user/],
      [['--user', ''], /--user/],
      [['--user', 'x'.repeat(129)], /--user: .*128/],
      [['--user', 'a', '--subscribe', 'a*'], /--subscribe: /],
      [['--user', 'a', '--publish', '*/a'], /--publish: /],
      [['--user', 'a', '--seconds', '0'], /--seconds: must be 1 to 31536000/],
      [['--user', 'a', '--seconds', '31536001'], /--seconds: must be 1 to 31536000/],
    ]) {
      const { status, stdout, stderr } = ask(...options);
      assert.deepEqual([status, stdout], [2, ''], options.join(' '));
      assert.match(stderr, said);
    }
    const open = configured('open', '[auth]\nrequired = false\n');
    const anonymous = run(['token', '--config', open.file, '--user', 'a']);
    assert.deepEqual([anonymous.status, anonymous.stdout], [1, '']);
    assert.match(anonymous.stderr, /auth\.required is false/);
  });
});

describe('ringcast check', () => {
  const check = (file) => run(['check', '--config', file]);
  const write = (name, content) => {
    const folder = freshFolder(name);
    const file = path.join(folder, 'ringcast.toml');
    fs.writeFileSync(file, content);
    return { folder, file };
  };

  test('PrintsWhatIsInEffectAsAFileThatCanBeUsed', () => {
    const { folder, file } = write('check', [
      '[server]', 'state_directory = "state"', 'trusted_proxies = ["10.0.0.0/8"]', 'public_origins = ["https://push.example.com"]',
      '[auth]', 'secret_file = "jwt.secret"', 'users_file = "../check/users"', 'leeway_seconds = 7',
      '[auth.grants."bob@example.com"]', 'subscribe = ["*"]', '[auth.grants."*"]', 'publish = ["user/{self}"]',
      '[cors]', 'allow_origins = ["*"]', '',
    ].join('\n'));
    fs.writeFileSync(path.join(folder, 'jwt.secret'), 'x'.repeat(32));
    fs.writeFileSync(path.join(folder, 'users'), '# none yet\n');
    const { status, stdout, stderr } = check(file);
    assert.deepEqual([status, stderr], [0, '']);
    const lines = stdout.split('\n').map((line) => line.replace(/ {2}#.*/, ''));
    for (const line of [
      `secret_file = "${folder}/jwt.secret"`, `state_directory = "${folder}/state"`, 'leeway_seconds = 7', 'algorithms = ["HS256"]',
      'login_per_minute_per_address = 10', 'login_per_minute_per_user = 30', 'same_site = "lax"', 'allow_credentials = false',
      '[auth.grants."bob@example.com"]', '[auth.grants."*"]', 'trusted_proxies = ["10.0.0.0/8"]',
    ]) {
      assert.ok(lines.includes(line), `${line} in\n${stdout}`);
    }
    assert.ok(!stdout.includes('x'.repeat(32)), 'the secret is not printed');
    const again = write('again', stdout);
    assert.deepEqual(check(again.file).stdout, stdout, 'the same from anywhere');
    assert.deepEqual(fs.readdirSync(folder).sort(), ['jwt.secret', 'ringcast.toml', 'users'], 'nothing is created');
  });

  test('WithoutKeysItMakesNone', () => {
    const { folder, file } = write('untouched', '[server]\nstate_directory = "state"\n');
    assert.equal(check(file).status, 0);
    assert.deepEqual(fs.readdirSync(folder), ['ringcast.toml']);
  });

  test('ErrorsAreNamedWithTheirPlace', () => {
    for (const [name, content, said] of [
      ['star', '[cors]\nallow_origins = ["*"]\nallow_credentials = true\n', /ringcast\.toml:3:\d+: cors\.allow_credentials: /],
      ['algorithm', '[auth]\nalgorithms = ["none"]\n', /ringcast\.toml:2:\d+: auth\.algorithms/],
      ['grant', '[auth.grants.alice]\nsubscribe = ["a*"]\n', /ringcast\.toml:2:\d+: auth\.grants\."?alice"?\.subscribe: /],
      ['secret', '[auth]\nsecret_file = "absent"\n', /ringcast\.toml: auth.*absent/],
      ['seconds', '[auth]\ntoken_seconds = 59\n', /ringcast\.toml:2:\d+: auth\.token_seconds: .*60/],
      ['proxy', '[server]\ntrusted_proxies = ["10.0.0.1/8"]\n', /ringcast\.toml:2:\d+: server\.trusted_proxies/],
      ['users', '[auth]\nusers_file = "weak"\n', /auth\.users_file: .*weak: line 1: .*too weak/],
    ]) {
      const { folder, file } = write(`error-${name}`, content);
      if (name === 'users') fs.writeFileSync(path.join(folder, 'weak'), 'alice:$apr1$tXg9tI9l$u5V7sDvIq3b7y3nF0pQ7V.\n');
      const { status, stdout, stderr } = check(file);
      assert.deepEqual([status, stdout], [2, ''], name);
      assert.match(stderr, said, name);
    }
  });
});
