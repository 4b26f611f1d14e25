// Tokens that somebody tampered with are refused, each for its own reason, and the log does not have them.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { Server } from './harness.mjs';
import { bearer, Client, cookie, now, scratchFolder } from './identity.mjs';
import { assertAccepted, assertRefused, encode, grants, hmac, jose, jwks, keys, rawToken, secret, tokenOf } from './tokens.mjs';
import { Stream } from './wire.mjs';

const scratch = scratchFolder();
after(() => scratch.remove());
const secretFile = scratch.write('jwt.secret', `${secret}\n`);

describe('attacks on tokens', () => {
  const known = { ...keys.rsa.jwk, kid: 'rsa-1', alg: 'RS256' };
  const pss = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const other = { ...pss.publicKey.export({ format: 'jwk' }), kid: 'rsa-2', alg: 'PS256' };
  const jwksFile = scratch.write('known.jwks', jwks([known, other, { ...keys.p256.jwk, kid: 'p256-1' }]));
  const own = { iss: 'https://issuer.example', aud: 'ringcast' };
  const allowed = ['HS256', 'RS256', 'PS256', 'ES256'];
  let server, client, watcher;
  before(async () => {
    server = await Server.start({
      config: {
        auth: { secret_file: secretFile, jwks_file: jwksFile, algorithms: allowed, issuer: own.iss, audience: own.aud },
        limits: { header_bytes: 262144 },
      },
    });
    client = new Client(server);
    watcher = await Stream.open(server, { headers: bearer(await good()) });
  });
  after(() => {
    client.close();
    watcher.close();
    return server.stop();
  });

  const good = ({ claims, ...rest } = {}) => tokenOf({ claims: { ...own, ...claims }, ...rest });
  const payload = (members = {}) => JSON.stringify({ sub: 'alice', exp: now() + 600, ringcast: grants, ...own, ...members });
  /** The payload with members as text, which may be no JSON value that JavaScript can hold. */
  const payloadWith = (text, without = '') => {
    const members = JSON.parse(payload());
    delete members[without];
    return `${JSON.stringify(members).slice(0, -1)},${text}}`;
  };
  const rs = { alg: 'RS256', header: { kid: 'rsa-1' } };
  const es = { alg: 'ES256', header: { kid: 'p256-1' } };

  /** Each attack: [what, token, reason]. The same token without the attack is accepted. */
  async function assertAllRefused(attacks) {
    for (const [what, token, reason] of attacks) await assertRefused(server, client, bearer(token), reason, what, token);
    const session = await client.ask('/session', { headers: bearer(await good()) });
    assert.equal(session.status, 200, 'a good token, after the attacks, on the same connection');
    assert.deepEqual(watcher.events, [], 'nothing was published');
  }

  test('TokensWithoutAttackAreAccepted', async () => {
    for (const token of [await good(), await good(rs), await good(es), rawToken(payload())]) {
      await assertAccepted(server, client, bearer(token), 'sound');
    }
    await watcher.waitForCount(0);
  });

  test('NoneIsNoAlgorithm', async () => {
    const attacks = [];
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      const signed = `${encode(JSON.stringify({ alg, typ: 'JWT' }))}.${encode(payload())}`;
      attacks.push([`${alg}, no signature`, `${signed}.`, 'algorithm']);
      attacks.push([`${alg}, no third part`, signed, 'malformed']);
      attacks.push([`${alg}, HMAC`, `${signed}.${hmac(signed)}`, 'algorithm']);
    }
    const unsecured = new jose.UnsecuredJWT({ sub: 'alice', ...own, exp: now() + 600 }).encode();
    attacks.push(['unsecured, of jose', unsecured, 'algorithm']);
    const [, body, signature] = (await good()).split('.');
    attacks.push(['none in front of a good signature', `${encode('{"alg":"none"}')}.${body}.${signature}`, 'algorithm']);
    await assertAllRefused(attacks);
  });

  test('PublicKeysAreNoSecrets', async () => {
    const attacks = [];
    for (const [kind, kid] of [['rsa', 'rsa-1'], ['p256', 'p256-1']]) {
      const { publicKey, pem, jwk } = keys[kind];
      const published = { ...jwk, kid, ...(kind === 'rsa' ? { alg: 'RS256' } : {}) };
      const secrets = {
        'PEM': pem,
        'PEM without its line end': pem.trimEnd(),
        'PEM, PKCS #1': kind === 'rsa' ? publicKey.export({ type: 'pkcs1', format: 'pem' }) : pem.replaceAll('\n', '\r\n'),
        'DER': publicKey.export({ type: 'spki', format: 'der' }),
        'JWK': JSON.stringify(published),
        'JWKS': fs.readFileSync(jwksFile),
        'number': Buffer.from(jwk.n ?? jwk.x, 'base64url'),
        'number in base64url': jwk.n ?? jwk.x,
        'nothing': '',
      };
      for (const [form, key] of Object.entries(secrets)) {
        attacks.push([`${kind} ${form}`, rawToken(payload(), '{"alg":"HS256"}', key), 'signature']);
        attacks.push([`${kind} ${form}, kid`, rawToken(payload(), JSON.stringify({ alg: 'HS256', kid }), key), 'signature']);
      }
    }
    await assertAllRefused(attacks);
  });

  test('AlgorithmsArePinned', async () => {
    const attacks = [
      ['not in auth.algorithms', await good({ alg: 'HS384' }), 'algorithm'],
      ['not in auth.algorithms', await good({ alg: 'RS512', header: rs.header }), 'algorithm'],
      ['not in auth.algorithms', await good({ alg: 'EdDSA' }), 'algorithm'],
      ['not in auth.algorithms', await good({ alg: 'ES384' }), 'algorithm'],
      ['allowed, but not what the key is for', await good({ alg: 'PS256', header: rs.header }), 'unknown-key'],
      ['allowed, of another key', await good({ alg: 'PS256', header: { kid: 'rsa-2' } }), 'signature'],
    ];
    for (const alg of ['"hs256"', '"HS256 "', '"HS256\\u0000"', '["HS256"]', 'null', '1', '""']) {
      attacks.push([`alg ${alg}`, rawToken(payload(), `{"alg":${alg}}`), 'algorithm']);
    }
    attacks.push(['no alg', rawToken(payload(), '{"typ":"JWT"}'), 'algorithm']);
    attacks.push(['two alg', rawToken(payload(), '{"alg":"HS256","alg":"HS256"}'), 'malformed']);
    await assertAllRefused(attacks);
  });

  test('TokensDoNotBringOrChooseTheirKey', async () => {
    const foreign = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = foreign.publicKey.export({ format: 'jwk' });
    const forged = (header) => good({ alg: 'RS256', header, key: foreign.privateKey });
    await assertAllRefused([
      ['wrong kid', await good({ ...rs, header: { kid: 'rsa-3' } }), 'unknown-key'],
      ['kid of another kind of key', await good({ ...rs, header: { kid: 'p256-1' } }), 'unknown-key'],
      ['kid that is a path', await good({ ...rs, header: { kid: '../../../../dev/null' } }), 'unknown-key'],
      ['kid that is a path, empty secret', rawToken(payload(), '{"alg":"HS256","kid":"/dev/null"}', ''), 'signature'],
      ['kid that is SQL', rawToken(payload(), `{"alg":"HS256","kid":"x' UNION SELECT 'k"}`, 'k'), 'signature'],
      ['kid that is no text', rawToken(payload(), '{"alg":"HS256","kid":1}'), 'malformed'],
      ['kid twice', await rawToken(payload(), '{"alg":"HS256","kid":"a","kid":"rsa-1"}'), 'malformed'],
      ['key of a stranger', await forged(rs.header), 'signature'],
      ['jwk', await forged({ ...rs.header, jwk }), 'signature'],
      ['jwk without kid', await forged({ jwk }), 'signature'],
      ['jku', await forged({ ...rs.header, jku: 'http://127.0.0.1:9/jwks' }), 'signature'],
      ['x5c', await forged({ ...rs.header, x5c: [foreign.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }), 'signature'],
      ['crit', rawToken(payload(), '{"alg":"HS256","crit":["b64"],"b64":true}'), 'critical-header'],
      ['a logout token', rawToken(payload(), '{"alg":"HS256","typ":"logout+jwt"}'), 'wrong-type'],
    ]);
  });

  test('ClaimsAreThereOnceAndOfTheirType', async () => {
    const late = now() + 600;
    const attacks = [
      ['sub twice', rawToken(payloadWith('"sub":"root"')), 'bad-claim'],
      ['sub twice, once escaped', rawToken(payloadWith('"s\\u0075b":"root"')), 'bad-claim'],
      ['exp twice', rawToken(payloadWith(`"exp":${late + 1}`)), 'bad-claim'],
      ['aud twice', rawToken(payloadWith('"aud":"ringcast"')), 'bad-claim'],
      ['ringcast twice', rawToken(payloadWith('"ringcast":{"subscribe":["*"]}')), 'bad-claim'],
      ['a grant twice', rawToken(payload().replace('"subscribe":["*"]', '"publish":[],"subscribe":["*"]')), 'bad-claim'],
      ['grants of another type', rawToken(payload({ ringcast: ['*'] })), 'bad-claim'],
      ['a grant that is no pattern', rawToken(payload({ ringcast: { subscribe: ['a*'] } })), 'bad-claim'],
      ['no exp', rawToken(payload({ exp: undefined })), 'no-expiry'],
      ['no sub', rawToken(payload({ sub: undefined })), 'no-user'],
      ['empty sub', rawToken(payload({ sub: '' })), 'no-user'],
      ['sub of 129 bytes', rawToken(payload({ sub: 'x'.repeat(129) })), 'no-user'],
      ['sub with a line end', rawToken(payload({ sub: 'alice\nid: 1-1' })), 'no-user'],
      ['sub that is a number', rawToken(payload({ sub: 7 })), 'bad-claim'],
      ['foreign iss', await good({ claims: { iss: 'https://issuer.example.org' } }), 'issuer'],
      ['no iss', await good({ claims: { iss: undefined } }), 'issuer'],
      ['foreign aud', await good({ claims: { aud: 'ringcast2' } }), 'audience'],
      ['no aud', await good({ claims: { aud: undefined } }), 'audience'],
      ['a list of foreign aud', await good({ claims: { aud: ['a', 'b', 'ringcas'] } }), 'audience'],
      ['no object', rawToken(`[${payload()}]`), 'bad-claim'],
      ['no JSON', rawToken(`${payload()}}`), 'bad-claim'],
      ['nested too deep', rawToken(payloadWith(`"x":${'['.repeat(2000)}${']'.repeat(2000)}`)), 'bad-claim'],
      ['not UTF-8', rawToken(Buffer.concat([Buffer.from(payload().slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')])), 'bad-claim'],
    ];
    await assertAllRefused(attacks);
    const listed = await client.ask('/session', { headers: bearer(await good({ claims: { aud: ['other', 'ringcast'] } })) });
    assert.equal(listed.status, 200, 'one of several aud');
  });

  test('TimesAreNumbersWithinReason', async () => {
    const late = now() + 600;
    const attacks = [];
    for (const exp of [`"${late}"`, '-1', '-1e300', `-${late}`, '1e30', '1e400', '253402300800', '18446744073709551615', '18446744073709551616', `${late}000`, 'true', 'null', `[${late}]`, '{}']) {
      attacks.push([`exp ${exp}`, rawToken(payloadWith(`"exp":${exp}`, 'exp')), 'bad-claim']);
    }
    attacks.push(['exp 0', rawToken(payload({ exp: 0 })), 'expired']);
    attacks.push(['exp in the past', await good({ claims: { exp: now() - 60 } }), 'expired']);
    attacks.push(['nbf in the future', await good({ claims: { nbf: now() + 60 } }), 'not-yet-valid']);
    attacks.push(['nbf as text', rawToken(payloadWith('"nbf":"0"')), 'bad-claim']);
    attacks.push(['negative nbf', rawToken(payloadWith('"nbf":-1')), 'bad-claim']);
    attacks.push(['huge nbf', rawToken(payloadWith('"nbf":1e300')), 'bad-claim']);
    attacks.push(['iat in the future', await good({ claims: { iat: now() + 60 } }), 'issued-in-future']);
    attacks.push(['iat as text', rawToken(payloadWith(`"iat":"${now()}"`)), 'bad-claim']);
    await assertAllRefused(attacks);
    // What is not refused: a clock that differs a little, and fractions (RFC 7519 section 2).
    for (const claims of [{ nbf: now() + 2 }, { exp: now() - 2 }, { exp: late + 0.5, nbf: now() - 0.5 }]) {
      const answer = await client.ask('/session', { headers: bearer(await good({ claims })) });
      assert.equal(answer.status, 200, JSON.stringify(claims));
    }
  });

  test('DamagedTokensAreRefused', async () => {
    const token = await good();
    const [header, body, signature] = token.split('.');
    const attacks = [];
    for (let end = 0; end < token.length; end += 11) {
      const cut = token.slice(0, end);
      const reason = end === 0 ? 'no-token' : cut.split('.').length < 3 ? 'malformed' : undefined;
      if (reason) attacks.push([`cut at ${end}`, cut, reason]);
    }
    for (const lost of [1, 4, 20, 42, 43]) {
      // 4n + 1 digits are no base64url; what is left over of other lengths may be.
      const rest = signature.slice(0, -lost);
      const whole = rest.length % 4 !== 1 && Buffer.from(rest, 'base64url').toString('base64url') === rest;
      attacks.push([`${lost} digits lost`, `${header}.${body}.${rest}`, whole ? 'signature' : 'malformed']);
    }
    for (const [what, damaged] of Object.entries({
      'padding behind the signature': `${token}=`,
      'padding behind the header': `${header}=.${body}.${signature}`,
      'base64 of the other alphabet': `${header}.${body}.${signature.slice(0, -2)}+/`,
      'a blank': `${header}.${body}. ${signature}`,
      'something behind a blank': `${token} x`,
      'a fourth part': `${token}.${signature}`,
      'five parts': `${header}....${signature}`,
      'quotes': `"${token}"`,
      'garbage': `${header}.${body}.~~~!!!@@@###`,
      'UTF-8': `${header}.${body}.${signature.slice(0, -2)}\u00e9`,
      'dots': '..',
      'one dot': '.',
      'a letter': 'x',
      'short parts': 'a.b.c',
      'unused bits set': `${header}.${body}.${signature.slice(0, -1)}${String.fromCharCode(signature.charCodeAt(42) + 1)}`,
    })) {
      attacks.push([what, damaged, 'malformed']);
    }
    for (const [what, part] of [['padding', `${body}=`], ['a blank', `${body} `], ['the other alphabet', `${body}+`]]) {
      attacks.push([`${what} behind the payload`, `${header}.${part}.${signature}`, 'signature']);
      attacks.push([`${what} behind the payload, signed`, `${header}.${part}.${hmac(`${header}.${part}`)}`, 'malformed']);
    }
    attacks.push(['another digit in the signature', `${header}.${body}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`, 'signature']);
    attacks.push(['tampered payload', `${header}.${encode(payload({ sub: 'root' }))}.${signature}`, 'signature']);
    attacks.push(['tampered header', `${encode('{"alg":"HS256","typ":"JWT"}')}.${body}.${signature}`, 'signature']);
    attacks.push(['payload of another token', `${header}.${(await good({ claims: { x: 1 } })).split('.')[1]}.${signature}`, 'signature']);
    await assertAllRefused(attacks);
  });

  test('SignaturesOfES256AreTwoNumbersOfTheirLength', async () => {
    const [header, body] = (await good(es)).split('.');
    const signed = Buffer.from(`${header}.${body}`);
    const sign = (dsaEncoding) => crypto.sign('sha256', signed, { key: keys.p256.privateKey, dsaEncoding });
    const sound = sign('ieee-p1363');
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
    const zero = Buffer.alloc(32);
    const signatures = {
      'DER': sign('der'),
      'all zero': Buffer.alloc(64),
      'r is zero': Buffer.concat([zero, sound.subarray(32)]),
      's is zero': Buffer.concat([sound.subarray(0, 32), zero]),
      'both the order': Buffer.concat([order, order]),
      'r is the order': Buffer.concat([order, sound.subarray(32)]),
      'all ones': Buffer.alloc(64, 0xff),
      'one byte less': sound.subarray(0, 63),
      'one byte more': Buffer.concat([sound, Buffer.alloc(1)]),
      'a zero in front': Buffer.concat([Buffer.alloc(1), sound]),
      'of the length of ES384': Buffer.concat([Buffer.alloc(16), sound.subarray(0, 32), Buffer.alloc(16), sound.subarray(32)]),
      'swapped': Buffer.concat([sound.subarray(32), sound.subarray(0, 32)]),
      'empty': Buffer.alloc(0),
    };
    await assertAllRefused(Object.entries(signatures).map(([what, bytes]) => [what, `${signed}.${encode(bytes)}`, 'signature']));
    const answer = await client.ask('/session', { headers: bearer(`${signed}.${encode(sound)}`) });
    assert.equal(answer.status, 200, 'the sound one of these');
  });

  test('LongTokensAreRefusedUnread', async () => {
    for (const length of [8193, 100_000]) {
      const token = rawToken(payload({ filler: 'x'.repeat(length) }));
      for (const headers of [bearer(token), cookie(token)]) {
        await assertRefused(server, client, headers, 'too-long', `${length} bytes`, token);
      }
    }
    await assertAllRefused([['100 KB of garbage', 'x'.repeat(100_000), 'too-long'], ['100 KB of dots', '.'.repeat(100_000), 'too-long']]);
  });

  test('CookiesWithTamperedTokensAreRefusedToo', async () => {
    const token = await good();
    const [header, , signature] = token.split('.');
    const forged = `${header}.${encode(payload({ sub: 'root' }))}.${signature}`;
    await assertRefused(server, client, cookie(forged), 'signature', 'cookie', forged);
    await assertRefused(server, client, { Cookie: `token=${forged}; token=${token}` }, 'signature', 'the first of two', forged);
    await assertRefused(server, client, { Cookie: `Token=${token}; xtoken=${token}; token2=${token}` }, 'no-token', 'other names', token);
    await assertRefused(server, client, {}, 'no-token', 'nothing', '');
    // Credentials of another scheme are for a proxy in front: neither a token nor in the cookie's way.
    for (const value of ['Bearer', 'Bearer ', 'Basic YWxpY2U6eA==', token, `Token ${token}`, `Bearer${token}`, `Bearer:${token}`]) {
      await assertRefused(server, client, { Authorization: value }, 'no-token', `Authorization ${value.slice(0, 8)}`, token);
      await assertRefused(server, client, { Authorization: value, ...cookie(forged) }, 'signature', `${value.slice(0, 8)} and a forged cookie`, forged);
      assert.equal((await client.ask('/session', { headers: { Authorization: value, ...cookie(token) } })).status, 200);
    }
    await assertRefused(server, client, { ...bearer(forged), ...cookie(token) }, 'signature', 'a bad header beside a good cookie', forged);
  });
});
