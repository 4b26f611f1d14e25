// Tokens of another maker are taken under every algorithm, for as long as they and their keys last.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { Server, until } from './harness.mjs';
import { algorithms, auditLines, bearer, Client, cookie, kindOf, now, scratchFolder } from './identity.mjs';
import { assertAccepted, assertRefused, encode, jwks, keys, rawToken, secret, tokenOf } from './tokens.mjs';
import { Stream } from './wire.mjs';

const scratch = scratchFolder();
after(() => scratch.remove());
const secretFile = scratch.write('jwt.secret', `${secret}\n`);
const pemFiles = Object.entries(keys).map(([kind, { pem }]) => scratch.write(`${kind}.pem`, pem));

describe('tokens of jose', () => {
  const jwksFile = scratch.write(
    'all.jwks',
    jwks([
      ...Object.entries(keys).map(([kind, { jwk }]) => ({ ...jwk, kid: `${kind}-1`, use: 'sig' })),
      { kty: 'oct', k: encode(secret), kid: 'secret-1' },
    ]),
  );
  const sources = {
    'a secret file and PEM files': { auth: { secret_file: secretFile, key_files: pemFiles }, header: () => ({}) },
    'a JWKS file, by kid': { auth: { jwks_file: jwksFile }, header: (alg) => ({ kid: `${kindOf[alg]}-1`, typ: 'JWT' }) },
  };
  for (const [from, { auth, header }] of Object.entries(sources)) {
    describe(`with keys of ${from}`, () => {
      let server, client;
      before(async () => {
        server = await Server.start({ config: { auth: { ...auth, algorithms } } });
        client = new Client(server);
      });
      after(() => {
        client.close();
        return server.stop();
      });
      for (const alg of algorithms) {
        test(`${alg}IsAcceptedFromHeaderAndCookie`, async () => {
          const token = await tokenOf({ alg, header: header(alg) });
          await assertAccepted(server, client, bearer(token), `${alg}, header`);
          await assertAccepted(server, client, cookie(token), `${alg}, cookie`);
          // Each signature is checked, not only each algorithm known.
          const parts = token.split('.');
          parts[1] = encode(JSON.stringify({ ...JSON.parse(Buffer.from(parts[1], 'base64url')), sub: 'root' }));
          await assertRefused(server, client, bearer(parts.join('.')), 'signature', `${alg}, another payload`, token);
        });
      }
    });
  }
});

describe('how tokens are handed over', () => {
  let server, client;
  before(async () => {
    server = await Server.start({ config: { auth: { secret_file: secretFile, leeway_seconds: 0 } } });
    client = new Client(server);
  });
  after(() => {
    client.close();
    return server.stop();
  });

  test('SchemeIgnoresCaseAndBlanksBehindIt', async () => {
    const token = await tokenOf();
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR', 'Bearer  ']) {
      const answer = await client.ask('/session', { headers: { Authorization: `${scheme} ${token}` } });
      assert.equal(answer.status, 200, scheme);
    }
  });

  test('CookieIsFoundAmongOthers', async () => {
    const token = await tokenOf();
    for (const value of [`a=b; token=${token}; c=d`, `token=${token};a=b`, `tokens=1; token="${token}"`, `=; ;; token=${token}`]) {
      const answer = await client.ask('/session', { headers: { Cookie: value } });
      assert.equal(answer.status, 200, value.replaceAll(token, '…'));
    }
  });

  test('RepeatedHeadersAreRefused', async () => {
    const token = await tokenOf();
    for (const [name, value] of [['Authorization', `Bearer ${token}`], ['Cookie', `token=${token}`]]) {
      for (const other of [value, name === 'Cookie' ? 'a=b' : 'Basic eDp4', '']) {
        for (const pairs of [[[name, value], [name, other]], [[name.toLowerCase(), other], [name, value]]]) {
          const answer = await client.ask('/session', { headers: pairs });
          assert.equal(answer.status, 400, `${name}, ${other && 'again'}`);
          assert.deepEqual(JSON.parse(answer.text), { error: `more than one ${name}` });
        }
      }
    }
  });

  test('HeadsOverTheLimitEndOnlyTheirConnection', async () => {
    const other = await Stream.open(server, { headers: bearer(await tokenOf()) });
    const token = rawToken(JSON.stringify({ sub: 'alice', exp: now() + 600, filler: 'x'.repeat(75_000) }));
    assert.ok(token.length > 100_000);
    for (const headers of [bearer(token), cookie(token)]) {
      const huge = new Client(server);
      const answer = await huge.ask('/session', { headers });
      assert.equal(answer.status, 431);
      assert.equal(typeof JSON.parse(answer.text).error, 'string');
      assert.ok(answer.closes);
    }
    const id = await client.publish({ data: 'still here' }, bearer(await tokenOf()));
    assert.equal(id.status, 204);
    await other.waitFor((block) => block.data === 'still here');
    other.close();
    assert.ok(!server.output.includes(token.slice(-40)));
  });

  test('StreamsEndWhenTheirTokenExpires', async () => {
    const exp = now() + 2;
    const short = await tokenOf({ claims: { exp } });
    const stream = await Stream.open(server, { headers: bearer(short) });
    const byCookie = await Stream.open(server, { headers: cookie(await tokenOf({ claims: { exp: exp + 1 } })) });
    const lasting = await Stream.open(server, { headers: bearer(await tokenOf()) });
    const session = JSON.parse((await client.ask('/session', { headers: bearer(short) })).text);
    assert.ok(session.expires_in <= 2 && session.expires_in >= 0, `${session.expires_in}`);
    for (const [one, at] of [[stream, exp], [byCookie, exp + 1]]) {
      const closing = await one.waitFor((block) => block.event === 'closing', 'the end of the token', 6000);
      const late = Date.now() - at * 1000;
      assert.ok(late > -100, `${-late} ms before the token expires`);
      assert.ok(late < 2500, `${late} ms after the token expired`);
      assert.equal(closing.data, '{"reason":"expired"}');
      assert.equal(closing.id, undefined);
      await one.waitForEnd();
      assert.ok(one.gracefullyEnded);
    }
    await assertRefused(server, client, bearer(short), 'expired', 'the token afterwards', short);
    assert.equal((await client.publish({ data: 'on' }, bearer(await tokenOf()))).status, 204);
    await lasting.waitFor((block) => block.data === 'on');
    lasting.close();
    assert.equal(await server.metric('ringcast_streams_ended_expired_total'), 2);
  });
});

describe('keys that change', () => {
  /** A server on files that the test writes; `headers` go with it to the end. */
  async function withServer(auth, body) {
    const server = await Server.start({ config: { auth } });
    const client = new Client(server);
    const status = async (token) => (await client.ask('/session', { headers: bearer(token) })).status;
    try {
      await body(server, client, status);
    } finally {
      client.close();
      await server.stop();
    }
  }
  const publishTo = async (client, token, stream, data) => {
    const answer = await client.publish({ data }, bearer(token));
    assert.equal(answer.status, 204, answer.text);
    await stream.waitFor((block) => block.data === data, data);
  };

  test('SecretAndPemAreReadAgainAndOpenStreamsStay', async () => {
    const secretPath = scratch.write('changing.secret', secret);
    const pemPath = scratch.write('changing.pem', keys.rsa.pem);
    const auth = { secret_file: secretPath, key_files: [pemPath], algorithms: ['HS256', 'RS256'] };
    await withServer(auth, async (server, client, status) => {
      const old = [await tokenOf(), await tokenOf({ alg: 'RS256' })];
      const streams = await Promise.all(old.map((token) => Stream.open(server, { headers: bearer(token) })));
      const fresh = { secret: crypto.randomBytes(32), rsa: crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }) };
      const next = [await tokenOf({ key: fresh.secret }), await tokenOf({ alg: 'RS256', key: fresh.rsa.privateKey })];
      for (const token of next) assert.equal(await status(token), 401, 'not yet');
      fs.writeFileSync(secretPath, fresh.secret);
      fs.writeFileSync(pemPath, fresh.rsa.publicKey.export({ type: 'spki', format: 'pem' }));
      for (const token of old) assert.equal(await status(token), 200, 'files alone change nothing');
      await server.reload({});
      for (const token of old) await assertRefused(server, client, bearer(token), 'signature', 'an old key', token);
      for (const token of next) assert.equal(await status(token), 200, 'the new key');
      for (const stream of streams) await publishTo(client, next[0], stream, `to ${streams.indexOf(stream)}`);
      streams.forEach((stream) => {
        assert.deepEqual(stream.named('closing'), []);
        stream.close();
      });
    });
  });

  test('BrokenKeyFilesKeepTheOldKeysAndSaySo', async () => {
    const secretPath = scratch.write('broken.secret', secret);
    const pemPath = scratch.write('broken.pem', keys.rsa.pem);
    const jwksPath = scratch.write('broken.jwks', jwks([{ ...keys.p256.jwk, kid: 'one' }]));
    const auth = { secret_file: secretPath, key_files: [pemPath], jwks_file: jwksPath, algorithms: ['HS256', 'RS256', 'ES256'] };
    await withServer(auth, async (server, client, status) => {
      const tokens = [await tokenOf(), await tokenOf({ alg: 'RS256' }), await tokenOf({ alg: 'ES256', header: { kid: 'one' } })];
      const stream = await Stream.open(server, { headers: bearer(tokens[0]) });
      const sound = new Map([secretPath, pemPath, jwksPath].map((file) => [file, fs.readFileSync(file)]));
      const breaks = [
        [secretPath, 'too short', /auth\.secret_file: .*broken\.secret/],
        [pemPath, keys.rsa.pem.slice(0, 200), /auth\.key_files: .*broken\.pem/],
        [pemPath, keys.rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }), /auth\.key_files: .*broken\.pem.*private/],
        [jwksPath, '{"keys":[', /auth\.jwks_file: .*broken\.jwks/],
        [jwksPath, jwks([{ ...keys.p256.jwk, y: keys.p256.jwk.x, kid: 'one' }]), /auth\.jwks_file: .*broken\.jwks/],
        [jwksPath, null, /auth\.jwks_file: .*broken\.jwks/],
      ];
      for (const [file, content, said] of breaks) {
        const from = server.output.length;
        if (content === null) fs.rmSync(file);
        else fs.writeFileSync(file, content);
        await server.reload({});
        const output = server.output.slice(from);
        assert.match(output, /was not reloaded, the old one stays in use/);
        assert.match(output, said);
        assert.ok(!content || !output.includes(content), 'the log has the content');
        for (const token of tokens) assert.equal(await status(token), 200, `after ${output}`);
        fs.writeFileSync(file, sound.get(file));
      }
      await server.reload({});
      assert.match(server.output.trimEnd().split('\n').findLast((line) => /reloaded/.test(line)), /configuration reloaded$/);
      await publishTo(client, tokens[0], stream, 'all the time');
      stream.close();
    });
  });

  test('JwksKeysRotateByKid', async () => {
    const second = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const members = {
      first: { ...keys.rsa.jwk, kid: '2026-01' },
      second: { ...second.publicKey.export({ format: 'jwk' }), kid: '2026-02' },
    };
    const file = scratch.write('rotating.jwks', jwks([members.first]));
    await withServer({ jwks_file: file, algorithms: ['RS256'] }, async (server, client, status) => {
      const first = await tokenOf({ alg: 'RS256', header: { kid: '2026-01' } });
      const next = await tokenOf({ alg: 'RS256', header: { kid: '2026-02' }, key: second.privateKey });
      const crossed = await tokenOf({ alg: 'RS256', header: { kid: '2026-01' }, key: second.privateKey });
      const stream = await Stream.open(server, { headers: bearer(first) });
      const expected = async (statuses, what) =>
        assert.deepEqual([await status(first), await status(next), await status(crossed)], statuses, what);
      await expected([200, 401, 401], 'the first key alone');
      fs.writeFileSync(file, jwks([members.first, members.second]));
      await server.reload({});
      await expected([200, 200, 401], 'both');
      fs.writeFileSync(file, jwks([members.second]));
      await server.reload({});
      await expected([401, 200, 401], 'the second alone');
      assert.equal(auditLines(server).at(-1).action, 'token-refused');
      await publishTo(client, next, stream, 'the stream of the first key goes on');
      stream.close();
    });
  });
});

describe('a server that needs no tokens', () => {
  test('TokensAreIgnored', async () => {
    const server = await Server.start({ config: { auth: { required: false } } });
    const client = new Client(server);
    const expired = await tokenOf({ claims: { exp: now() - 1000 } });
    const stream = await Stream.open(server, { path: '/events?topic=orders', headers: bearer(expired) });
    for (const headers of [{}, bearer(expired), bearer('garbage'), cookie('x.y.z'), { Authorization: 'Basic eDp4' }]) {
      const session = await client.ask('/session', { headers });
      assert.equal(session.status, 200);
      assert.equal(session.text, '{"required":false,"user":null,"expires_in":null}');
      assert.equal((await client.publish({ topic: 'orders', data: 'x' }, headers)).status, 204);
      assert.equal((await client.login('demo', 'demo', headers)).status, 404);
      assert.equal((await client.logout(headers)).status, 404);
    }
    await stream.waitForCount(5);
    await until(async () => (await server.metric('ringcast_streams_open')) === 1, 'the stream stays');
    assert.deepEqual(auditLines(server), []);
    stream.close();
    client.close();
    await server.stop();
  });
});
