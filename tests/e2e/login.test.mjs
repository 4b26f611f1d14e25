// Signing in with a password and out again, the limits on trying, and pages of other sites that try it for somebody.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { describeInEachMode, Server, until } from './harness.mjs';
import {
  auditLines, auditOf, bearer, Client, cookie, cookieToken, perShard, scratchFolder, writeUsers,
} from './identity.mjs';
import { Stream } from './wire.mjs';

const scratch = scratchFolder();
after(() => scratch.remove());
const secretFile = scratch.write('jwt.secret', crypto.randomBytes(48).toString('base64url'));

// As mkpasswd(1) writes them, of the password below.
const otherHashes = {
  yves: '$y$j9T$Dwu58j/lG4nlMS5TgyhxN1$.1g7u.OffGIsfNXQEBdpjhm9DnLYkFxirPEwPPAzcs7',
  sam: '$6$n1FTlz3/oXrlkGkc$.cnxosuW5YwhF7LqWzRhV1iicPZxOvI5oN1BNrYK2KVShcPks2Gttyz.MF5E45F3V7WLST61OR14b1bIPVbHl.',
};
const otherPassword = 'correct horse';
const passwords = { alice: 'Opensesame-1', bob: 'p&ss=w%rd + "ü" \\ ☕', 'carol smith@example.org': 'a' };
const usersFile = writeUsers(path.join(scratch.folder, 'users.htpasswd'), passwords);
fs.appendFileSync(usersFile, Object.entries(otherHashes).map(([name, hash]) => `${name}:${hash}\n`).join(''));

const auth = { secret_file: secretFile, users_file: usersFile };
const grants = { 'auth.grants.alice': { subscribe: ['*'], publish: ['*'] } };
const noLimits = { login_per_minute_per_address: 0, login_per_minute_per_user: 0 };
const form = (fields) => ({
  headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
});

/** A server with these users, a client of it, and both away at the end. */
async function withServer(config, body, options = {}) {
  const server = await Server.start({ ...options, config: { auth: { ...auth, ...config.auth }, ...grants, limits: noLimits, ...config.rest } });
  const clients = [];
  const clientOf = (given) => {
    clients.push(new Client(server, given));
    return clients.at(-1);
  };
  try {
    await body(server, clientOf(), clientOf);
    for (const password of [...Object.values(passwords), otherPassword, 'wrong-Password']) {
      if (password.length > 1) assert.ok(!server.output.includes(password), `the log has a password\n${server.output}`);
    }
    assert.doesNotMatch(server.output, /eyJ[\w-]{20}/, 'the log has a token');
  } finally {
    clients.forEach((client) => client.close());
    await server.stop();
  }
}

function assertSignedIn(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, '{"status":"ok"}');
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.headers['cache-control'], 'no-store');
  return cookieToken(answer);
}

function assertRefused(answer, status, error) {
  assert.equal(answer.status, status, answer.text);
  assert.deepEqual(JSON.parse(answer.text), { error });
  assert.ok(!('set-cookie' in answer.headers), 'no cookie with a refusal');
}

async function whoIs(client, token) {
  const answer = await client.ask('/session', { headers: cookie(token) });
  return answer.status === 200 ? JSON.parse(answer.text).user : answer.status;
}

describe('signing in', () => {
  test('EachKindOfHashAndBothKindsOfBody', () =>
    withServer({}, async (server, client) => {
      const all = { ...passwords, ...Object.fromEntries(Object.keys(otherHashes).map((name) => [name, otherPassword])) };
      for (const [username, password] of Object.entries(all)) {
        const answers = [await client.login(username, password), await client.ask('/login', form({ username, password }))];
        for (const answer of answers) {
          assert.equal(await whoIs(client, assertSignedIn(answer)), username);
          assert.deepEqual(await auditOf(server, answer), { action: 'login', address: '127.0.0.1', user: username, reason: '' });
        }
        assert.notEqual(cookieToken(answers[0]), cookieToken(answers[1]), 'two sign-ins are two sessions');
        for (const wrong of [`${password}x`, password.slice(1) || 'b', password.toUpperCase() + password]) {
          assertRefused(await client.login(username, wrong), 401, 'invalid credentials');
        }
      }
      assert.equal(await server.metric('ringcast_logins_accepted_total'), 10);
      assert.equal(await server.metric('ringcast_logins_refused_total'), 15);
      assert.equal(client.connections, 1);
    }));

  test('UnknownUsersAndWrongPasswordsAreToldTheSame', () =>
    withServer({}, async (server, client) => {
      const shown = [];
      for (const [name, password] of [['alice', 'wrong-Password'], ['mallory', 'wrong-Password'], ['Alice', passwords.alice], ['alice ', passwords.alice]]) {
        const answer = await client.login(name, password);
        assertRefused(answer, 401, 'invalid credentials');
        assert.deepEqual(await auditOf(server, answer), { action: 'login-failed', address: '127.0.0.1', user: name, reason: 'invalid-credentials' });
        const { date, 'x-request-id': id, ...headers } = answer.headers;
        shown.push(JSON.stringify([headers, answer.text]));
      }
      assert.equal(new Set(shown).size, 1, shown.join('\n'));
    }));

  test('UnknownUsersTakeAsLong', async () => {
    const file = writeUsers(path.join(scratch.folder, 'slow.htpasswd'), { alice: passwords.alice }, 10);
    await withServer({ auth: { users_file: file } }, async (server, client) => {
      const times = { alice: [], mallory: [] };
      for (let i = 0; i < 5; ++i) {
        for (const [name, list] of Object.entries(times)) {
          const begin = performance.now();
          assertRefused(await client.login(name, 'wrong-Password', {}, { timeoutMs: 20_000 }), 401, 'invalid credentials');
          list.push(performance.now() - begin);
        }
      }
      // Noise only adds. Without a hash the fastest answer would be there within a millisecond or two.
      const [known, unknown] = Object.values(times).map((list) => Math.min(...list));
      assert.ok(unknown > known / 4, `known ${known} ms, unknown ${unknown} ms`);
    });
  });

  test('WhatIsMissingIsNamed', () =>
    withServer({}, async (server, client) => {
      const json = (body) => client.ask('/login', { headers: { 'Content-Type': 'application/json' }, body });
      for (const [body, error] of [
        ['{"password":"x"}', 'username: is missing'],
        ['{"username":"","password":"x"}', 'username: is missing'],
        ['{"username":"alice"}', 'password: is missing'],
        ['{"username":"alice","password":""}', 'password: is missing'],
        ['{"username":7,"password":"x"}', 'username: must be a string'],
        ['{"username":"alice","password":["x"]}', 'password: must be a string'],
        ['["alice","x"]', 'the body is not a JSON object'],
        ['{"username":"alice"', 'the body is not a JSON object'],
        ['', 'the body is not a JSON object'],
      ]) {
        assertRefused(await json(body), 400, error);
      }
      for (const [body, error] of [
        ['', 'username: is missing'],
        ['password=x', 'username: is missing'],
        ['username=&password=x', 'username: is missing'],
        ['username=alice', 'password: is missing'],
        ['username=alice&password=', 'password: is missing'],
        ['username=alice&username=bob&password=x', 'username: is there twice'],
        ['username=alice&password=x&password=y', 'password: is there twice'],
        ['username=%zz&password=x', 'username: has a broken percent escape'],
      ]) {
        assertRefused(await client.ask('/login', { ...form({}), body }), 400, error);
      }
      for (const type of ['text/plain', 'multipart/form-data; boundary=x']) {
        const answer = await client.ask('/login', { headers: { 'Content-Type': type }, body: JSON.stringify({ username: 'alice', password: passwords.alice }) });
        assertRefused(answer, 415, 'Content-Type: must be application/json or application/x-www-form-urlencoded');
      }
      const got = await client.ask('/login');
      assert.deepEqual([got.status, got.headers.allow], [405, 'POST, OPTIONS'], 'passwords do not stand in addresses');
      assert.deepEqual(auditLines(server), []);
      assertSignedIn(await client.login('alice', passwords.alice));
    }));

  test('LongOrStrangePasswordsAreWrongPasswords', () =>
    withServer({}, async (server, client) => {
      for (const password of ['x'.repeat(512), 'x'.repeat(5000), `${passwords.alice}\u0000`, `${passwords.alice}\u0000x`, '\u0000', '\u{1f600}']) {
        assertRefused(await client.login('alice', password), 401, 'invalid credentials');
      }
      for (const name of ['x'.repeat(129), 'x'.repeat(5000), 'ali\u0000ce', 'a:b', 'x\ny" action=login', '*']) {
        const answer = await client.login(name, 'wrong-Password');
        assertRefused(answer, 401, 'invalid credentials');
        assert.equal((await auditOf(server, answer)).action, 'login-failed');
      }
      assert.ok(auditLines(server).every((line) => line.action === 'login-failed'), 'a name cannot write a line of its own');
    }));

  test('WithoutUsersThereIsNoSignIn', () =>
    withServer({ auth: { users_file: '' } }, async (server, client) => {
      assertRefused(await client.login('alice', passwords.alice), 404, 'there is no sign-in by password here');
    }));
});

describe('the cookie', () => {
  const attributes = (answer) => answer.headers['set-cookie'].replace(/^([^=]+)=[\w-]+\.[\w-]+\.[\w-]+;/, '$1=…;');

  test('HasTheAttributesOfTheContract', () =>
    withServer({}, async (server, client) => {
      const signedIn = await client.login('alice', passwords.alice);
      assert.equal(attributes(signedIn), 'token=…; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax');
      const session = JSON.parse((await client.ask('/session', { headers: cookie(cookieToken(signedIn)) })).text);
      assert.deepEqual([session.required, session.user], [true, 'alice']);
      assert.ok(session.expires_in > 3590 && session.expires_in <= 3600, `${session.expires_in}`);
      const out = await client.logout(cookie(cookieToken(signedIn)));
      assert.equal(out.status, 204);
      assert.equal(out.headers['set-cookie'], 'token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax');
    }));

  test('IsSecureWhenATrustedProxySaysHttps', () =>
    withServer({ rest: { server: { trusted_proxies: ['127.0.0.2'] } } }, async (server, client, clientOf) => {
      const plain = 'token=…; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax';
      const https = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.7' };
      const proxy = clientOf({ localAddress: '127.0.0.2' });
      const behind = await proxy.login('alice', passwords.alice, https);
      assert.equal(attributes(behind), `${plain}; Secure`);
      assert.equal((await auditOf(server, behind)).address, '203.0.113.7');
      const out = await proxy.logout({ ...https, ...cookie(cookieToken(behind)) });
      assert.equal(out.headers['set-cookie'], 'token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure');
      assert.equal(attributes(await proxy.login('alice', passwords.alice, { 'X-Forwarded-Proto': 'http' })), plain);
      assert.equal(attributes(await proxy.login('alice', passwords.alice)), plain);
      const liar = await client.login('alice', passwords.alice, https);
      assert.equal(attributes(liar), plain, 'anybody can write such a header');
      assert.equal((await auditOf(server, liar)).address, '127.0.0.1');
    }));

  test('IsAsConfigured', async () => {
    const configured = { cookie: '__Host-session', token_seconds: 60 };
    for (const [same_site, flags] of [['none', 'SameSite=None; Secure'], ['strict', 'SameSite=Strict'], ['lax', 'SameSite=Lax']]) {
      await withServer({ auth: { ...configured, same_site } }, async (server, client) => {
        const answer = await client.login('alice', passwords.alice);
        assert.equal(attributes(answer), `__Host-session=…; Path=/; Max-Age=60; HttpOnly; ${flags}`);
        const token = cookieToken(answer, '__Host-session');
        const session = await client.ask('/session', { headers: cookie(token, '__Host-session') });
        assert.ok(JSON.parse(session.text).expires_in <= 60);
        assert.equal(await whoIs(client, token), 401, 'under another name');
      });
    }
  });
});

describe('limits on signing in', () => {
  /** Wrong passwords until one is told to wait: how many were not, and that answer. */
  async function attemptsUntilRefused(client, name) {
    for (let taken = 0; taken < 200; ++taken) {
      const answer = await client.login(name, 'wrong-Password');
      if (answer.status === 429) return { taken, answer };
      assertRefused(answer, 401, 'invalid credentials');
    }
    assert.fail('no limit');
  }

  async function assertBites(server, client, name, perMinute) {
    const begin = performance.now();
    const { taken, answer } = await attemptsUntilRefused(client, name);
    const grown = ((performance.now() - begin) / 60_000) * perMinute;
    assert.ok(taken >= perMinute && taken <= perMinute + grown + 1, `${taken} attempts at ${perMinute} a minute`);
    assertRefused(answer, 429, 'too many attempts to sign in');
    assert.match(answer.headers['retry-after'], /^[12]$/);
    assert.deepEqual(await auditOf(server, answer), { action: 'login-failed', address: '127.0.0.1', user: name, reason: 'too-many-attempts' });
    assertRefused(await client.login('alice', passwords.alice), 429, 'too many attempts to sign in');
  }

  const recovers = (client) =>
    until(async () => (await client.login('alice', passwords.alice)).status === 200, 'the right password is taken again', 6000);

  test('EachAddressHasItsOwnAndRecovers', () =>
    withServer({ rest: { limits: { login_per_minute_per_address: 40, login_per_minute_per_user: 0 } } }, async (server, client, clientOf) => {
      await assertBites(server, client, 'alice', 40);
      for (const localAddress of ['127.0.0.2', '127.1.2.3']) {
        assertSignedIn(await clientOf({ localAddress }).login('alice', passwords.alice));
      }
      const limited = await clientOf().login('bob', passwords.bob);
      assertRefused(limited, 429, 'too many attempts to sign in');
      await recovers(client);
      assert.ok((await server.metric('ringcast_limited_total')) >= 3);
    }));

  test('EachUserNameHasItsOwnAndRecovers', () =>
    withServer({ rest: { limits: { login_per_minute_per_address: 0, login_per_minute_per_user: 40 } } }, async (server, client, clientOf) => {
      await assertBites(server, client, 'alice', 40);
      const elsewhere = clientOf({ localAddress: '127.0.0.2' });
      assertRefused(await elsewhere.login('alice', passwords.alice), 429, 'too many attempts to sign in');
      assertSignedIn(await client.login('bob', passwords.bob));
      await recovers(elsewhere);
      const { taken } = await attemptsUntilRefused(elsewhere, 'mallory');
      assert.ok(taken >= 40, 'a name that nobody has is limited as others are');
    }));

  test('BehindAProxyTheClientIsLimitedNotTheProxy', () =>
    withServer(
      { rest: { server: { trusted_proxies: ['127.0.0.0/8'] }, limits: { login_per_minute_per_address: 40, login_per_minute_per_user: 0 } } },
      async (server, client, clientOf) => {
        const from = (address) => clientOf({ headers: { 'X-Forwarded-For': address } });
        const { taken } = await attemptsUntilRefused(from('2001:db8:0:1::1'), 'alice');
        assert.ok(taken >= 40);
        assertRefused(await from('2001:db8:0:1:ffff::2').login('alice', passwords.alice), 429, 'too many attempts to sign in');
        assertSignedIn(await from('2001:db8:0:2::1').login('alice', passwords.alice));
        assertSignedIn(await from('198.51.100.9').login('alice', passwords.alice));
      },
    ));

  test('LoginsAtOnceAreAllAnsweredAndTheQueueIsBounded', async () => {
    const file = writeUsers(path.join(scratch.folder, 'busy.htpasswd'), { alice: passwords.alice }, 8);
    await withServer({ auth: { users_file: file } }, async (server, _, clientOf) => {
      const stream = await Stream.open(server, { headers: cookie(cookieToken(await clientOf().login('alice', passwords.alice))) });
      const clients = Array.from({ length: 180 }, () => clientOf());
      await Promise.all(clients.map((client) => client.ask('/session')));
      const answers = await Promise.all(clients.map((client) => client.login('alice', passwords.alice, {}, { timeoutMs: 29_000 })));
      const taken = answers.filter((answer) => answer.status === 200);
      const refused = answers.filter((answer) => answer.status !== 200);
      const tokens = new Set(taken.map(assertSignedIn));
      assert.ok(taken.length >= 60, `${taken.length} of ${clients.length} at once were taken`);
      assert.equal(tokens.size, taken.length, 'each has a session of its own');
      assert.ok(refused.length > 0, 'the queue has no bound');
      for (const answer of refused) {
        assertRefused(answer, 503, 'too many people are signing in');
        assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
        assert.match(answer.headers['x-request-id'], /^[0-9a-f]{16}$/);
      }
      assert.equal(await server.metric('ringcast_logins_accepted_total'), taken.length + 1);
      assert.equal(await server.metric('ringcast_logins_overloaded_total'), refused.length);
      const later = await clientOf().login('alice', passwords.alice);
      assert.equal((await clientOf().publish({ data: 'later' }, cookie(assertSignedIn(later)))).status, 204);
      await stream.waitFor((block) => block.data === 'later');
      stream.close();
    });
  });

  test('ClientsThatLeaveMeanwhileDoNotStopTheRest', async () => {
    const file = writeUsers(path.join(scratch.folder, 'leaving.htpasswd'), { alice: passwords.alice }, 8);
    await withServer({ auth: { users_file: file } }, async (server, _, clientOf) => {
      const clients = Array.from({ length: 40 }, () => clientOf());
      await Promise.all(clients.map((client) => client.ask('/session')));
      const answers = clients.map((client) => client.login('alice', passwords.alice, {}, { timeoutMs: 29_000 }));
      const kept = answers.filter((answer, i) => {
        if (i % 2) return true;
        answer.catch(() => {});
        clients[i].connection.reset();
        return false;
      });
      (await Promise.all(kept)).forEach(assertSignedIn);
      server.assertRunning();
    });
  });
});

describeInEachMode('signing out', (descriptors) => {
  test('EndsTheStreamsOfThatSessionAlone', () =>
    withServer({}, async (server, client) => {
      const sessions = {};
      for (const [name, user] of Object.entries({ mine: 'alice', other: 'alice', bob: 'bob' })) {
        sessions[name] = { token: assertSignedIn(await client.login(user, passwords[user])), streams: [] };
      }
      const both = async (name) => {
        const before = await perShard(server, 'ringcast_streams_open');
        assert.equal(before.length, 2);
        await until(async () => {
          sessions[name].streams.push(await Stream.open(server, { path: '/events?topic=orders', headers: cookie(sessions[name].token) }));
          const open = await perShard(server, 'ringcast_streams_open');
          return open.every((count, shard) => count > before[shard]);
        }, `streams of ${name} on both shards`);
      };
      for (const name of ['mine', 'other']) await both(name);
      const asBearer = await Stream.open(server, { headers: bearer(sessions.mine.token) });
      sessions.mine.streams.push(asBearer);
      sessions.bob.streams.push(await Stream.open(server, { headers: cookie(sessions.bob.token) }));

      const out = await client.logout(cookie(sessions.mine.token));
      assert.equal(out.status, 204);
      assert.deepEqual(await auditOf(server, out), { action: 'logout', address: '127.0.0.1', user: 'alice', reason: '' });
      // At once, on every shard.
      for (let i = 0; i < 8; ++i) {
        const fresh = new Client(server);
        const answer = await fresh.ask(i % 2 ? '/events' : '/session', { headers: i % 3 ? cookie(sessions.mine.token) : bearer(sessions.mine.token) });
        assert.equal(answer.status, 401);
        assert.equal((await auditOf(server, answer)).reason, 'signed-out');
        fresh.close();
      }
      for (const stream of sessions.mine.streams) {
        const closing = await stream.waitFor((block) => block.event === 'closing');
        assert.deepEqual([closing.data, closing.id], ['{"reason":"signed-out"}', undefined]);
        await stream.waitForEnd();
        assert.ok(stream.gracefullyEnded);
        assert.deepEqual(stream.events, [], 'a sign-out is no event');
      }
      assert.equal(await server.metric('ringcast_streams_ended_signed_out_total'), sessions.mine.streams.length);

      assert.equal((await client.publish({ topic: 'orders', data: 'refused' }, cookie(sessions.mine.token))).status, 401);
      assert.equal((await client.publish({ data: 'on' }, cookie(sessions.other.token))).status, 204);
      for (const stream of [...sessions.other.streams, ...sessions.bob.streams]) {
        await stream.waitFor((block) => block.data === 'on');
        assert.deepEqual(stream.named('closing'), []);
        stream.close();
      }
      const again = await client.logout(cookie(sessions.mine.token));
      assert.equal(again.status, 204, 'signing out twice');
      assert.equal((await auditOf(server, again)).reason, 'signed-out');
      assert.equal(await whoIs(client, assertSignedIn(await client.login('alice', passwords.alice))), 'alice');
    }, { descriptors }));

  test('ASecondSignatureOfTheSameTokenIsTheSameSession', async () => {
    const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const file = scratch.write('p256.pem', publicKey.export({ type: 'spki', format: 'pem' }));
    await withServer({ auth: { key_files: [file], algorithms: ['HS256', 'ES256'] } }, async (server, client) => {
      const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const signed = `${part({ alg: 'ES256' })}.${part({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 600 })}`;
      const sign = () => `${signed}.${crypto.sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
      const [first, second] = [sign(), sign()];
      assert.notEqual(first, second);
      assert.deepEqual([await whoIs(client, first), await whoIs(client, second)], ['alice', 'alice']);
      assert.equal((await client.logout(bearer(first))).status, 204);
      assert.deepEqual([await whoIs(client, first), await whoIs(client, second), await whoIs(client, sign())], [401, 401, 401]);
    }, { descriptors });
  });

  test('WithoutATokenTheCookieIsRemovedAnyway', () =>
    withServer({}, async (server, client) => {
      for (const headers of [{}, cookie('a.b.c'), bearer('x')]) {
        const out = await client.logout(headers);
        assert.equal(out.status, 204);
        assert.match(out.headers['set-cookie'], /^token=; Path=\/; Max-Age=0;/);
        const audit = await auditOf(server, out);
        assert.deepEqual([audit.action, audit.user], ['token-refused', '']);
      }
    }, { descriptors }));
});

describe('pages of other sites', () => {
  const stranger = 'https://evil.example';
  const forged = {
    'a foreign Origin': { Origin: stranger },
    'Origin null': { Origin: 'null' },
    'an Origin that is none': { Origin: 'http://localhost, http://evil.example' },
    'our host with another port': { Origin: 'http://localhost:81' },
    'a host that begins as ours': { Origin: 'http://localhost.evil.example' },
    'no Origin, cross-site': { 'Sec-Fetch-Site': 'cross-site' },
    'no Origin, same-site': { 'Sec-Fetch-Site': 'same-site' },
    'a foreign Origin that claims same-origin': { Origin: stranger, 'Sec-Fetch-Site': 'same-origin' },
    'an empty Authorization': { Origin: stranger, Authorization: '' },
  };
  const honest = {
    'our Origin': { Origin: 'http://localhost' },
    'our Origin over TLS that somebody ends': { Origin: 'https://localhost' },
    'no Origin, same-origin': { 'Sec-Fetch-Site': 'same-origin' },
    'no Origin, typed by the user': { 'Sec-Fetch-Site': 'none' },
    'a program': {},
  };

  for (const format of ['text', 'json']) {
    test(`CanNeitherPublishNorSignInNorOut, log as ${format}`, () =>
      withServer({ rest: { log: { format } } }, async (server, client) => {
        const token = assertSignedIn(await client.login('alice', passwords.alice));
        const stream = await Stream.open(server, { headers: cookie(token) });
        const state = async () => {
          const metrics = await server.metrics();
          return ['publishes_accepted', 'logins_accepted', 'logins_refused'].map((name) => metrics.get(`ringcast_${name}_total`));
        };
        const before = await state();
        for (const [what, headers] of Object.entries(forged)) {
          const answers = [
            await client.publish({ data: 'forged' }, { ...cookie(token), ...headers }),
            await client.logout({ ...cookie(token), ...headers }),
            await client.login('alice', passwords.alice, headers),
            await client.ask('/login', { headers: { ...form({}).headers, ...headers }, body: form({ username: 'bob', password: passwords.bob }).body }),
          ];
          for (const answer of answers) {
            assertRefused(answer, 403, 'this origin may not do that');
            const { action, reason, user } = await auditOf(server, answer);
            const said = headers.Origin ?? `absent, ${headers['Sec-Fetch-Site']}`;
            assert.deepEqual({ action, reason, user }, { action: 'origin-refused', reason: said, user: '' }, what);
          }
          assert.equal(await whoIs(client, token), 'alice', what);
        }
        assert.deepEqual(await state(), before, 'nothing happened');
        for (const [what, headers] of Object.entries(honest)) {
          assert.equal((await client.publish({ data: what }, { ...cookie(token), ...headers })).status, 204, what);
          const session = assertSignedIn(await client.login('alice', passwords.alice, headers));
          assert.equal((await client.logout({ ...cookie(session), ...headers })).status, 204, what);
          assert.equal(await whoIs(client, session), 401, what);
        }
        await stream.waitForCount(Object.keys(honest).length);
        assert.deepEqual(stream.events.map((event) => event.data), Object.keys(honest));
        stream.close();
      }));
  }

  test('DoNotMatterToBearerTokens', () =>
    withServer({}, async (server, client) => {
      const token = assertSignedIn(await client.login('alice', passwords.alice));
      for (const headers of Object.values(forged).filter((one) => !('Authorization' in one))) {
        assert.equal((await client.publish({ data: 'x' }, { ...bearer(token), ...headers })).status, 204);
        // A header that is no token does not open the way for the cookie.
        for (const other of ['Basic YWxpY2U6eA==', 'Bearer', 'x']) {
          const both = { Authorization: other, ...cookie(token), ...headers };
          assertRefused(await client.publish({ data: 'x' }, both), 403, 'this origin may not do that');
          assertRefused(await client.logout(both), 403, 'this origin may not do that');
        }
      }
      assert.equal((await client.logout({ ...bearer(token), Origin: stranger })).status, 204);
    }));

  test('MayWhenTheyAreAllowed', () =>
    withServer({ rest: { cors: { allow_origins: ['https://app.example.com'] } } }, async (server, client) => {
      const page = { Origin: 'https://app.example.com', 'Sec-Fetch-Site': 'cross-site' };
      const token = assertSignedIn(await client.login('alice', passwords.alice, page));
      assert.equal((await client.publish({ data: 'x' }, { ...cookie(token), ...page })).status, 204);
      assert.equal((await client.publish({ data: 'x' }, { ...cookie(token), Origin: 'https://app.example.com.evil.example' })).status, 403);
      // Allowed to read what is public, but not to use the cookie.
      await server.reload({ cors: { allow_credentials: false } });
      assertRefused(await client.publish({ data: 'x' }, { ...cookie(token), ...page }), 403, 'this origin may not do that');
      assertRefused(await client.logout({ ...cookie(token), ...page }), 403, 'this origin may not do that');
      assertRefused(await client.login('alice', passwords.alice, page), 403, 'this origin may not do that');
      assert.equal((await client.publish({ data: 'x' }, { ...bearer(token), ...page })).status, 204);
      await server.reload({ cors: { allow_credentials: true } });
      assert.equal((await client.logout({ ...cookie(token), ...page })).status, 204);
    }));

  test('OwnPagesBehindAProxyThatRewritesHost', () =>
    withServer({ rest: { server: { trusted_proxies: ['127.0.0.1'] } } }, async (server, client) => {
      const origin = 'https://push.example.com';
      const options = { host: 'backend.internal:8080' };
      const proxied = (page) => ({ Origin: page, 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.7' });
      const login = (page) => client.login('alice', passwords.alice, proxied(page), options);
      const refused = await login(origin);
      assertRefused(refused, 403, 'this origin may not do that');
      assert.equal((await auditOf(server, refused)).address, '203.0.113.7');
      await server.reload({ server: { public_origins: [origin] } });
      const token = assertSignedIn(await login(origin));
      const headers = { ...cookie(token), ...proxied(origin) };
      assert.equal((await client.publish({ data: 'x' }, headers, options)).status, 204);
      for (const page of ['https://push.example.com:8443', 'http://push.example.com', 'https://www.push.example.com', stranger]) {
        assertRefused(await login(page), 403, 'this origin may not do that');
        assert.equal((await client.publish({ data: 'x' }, { ...cookie(token), ...proxied(page) }, options)).status, 403, page);
      }
      assert.equal((await client.logout(headers, options)).status, 204);
    }));
});
