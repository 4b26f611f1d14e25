// Tokens as others make them, and the keys behind them.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { auditOf, kindOf, loadJose, makeKeyPairs, now } from './identity.mjs';
import { Stream } from './wire.mjs';

export const jose = await loadJose();
export const keys = makeKeyPairs();
export const secret = crypto.randomBytes(48).toString('base64url');
export const jwks = (members) => JSON.stringify({ keys: members });
const signers = {
  secret: Buffer.from(secret),
  ...Object.fromEntries(Object.entries(keys).map(([kind, pair]) => [kind, pair.privateKey])),
};
export const grants = { subscribe: ['*'], publish: ['*'] };

/** A token of alice as `jose` makes it. A claim or header of `undefined` is left away. */
export function tokenOf({ alg = 'HS256', claims = {}, header = {}, key = signers[kindOf[alg]] } = {}) {
  return new jose.SignJWT({ sub: 'alice', iat: now(), exp: now() + 600, ringcast: grants, ...claims })
    .setProtectedHeader({ alg, ...header })
    .sign(key);
}

export const encode = (value) => Buffer.from(value).toString('base64url');
export const hmac = (text, key = secret) => crypto.createHmac('sha256', key).update(text).digest('base64url');

/** A token with a sound HMAC over any header and payload text, for what jose refuses to write. */
export function rawToken(payload, header = '{"alg":"HS256","typ":"JWT"}', key = secret) {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${hmac(signed, key)}`;
}

/** Taken on every path, and what was published with it arrives. */
export async function assertAccepted(server, client, headers, what) {
  const session = await client.ask('/session', { headers });
  assert.equal(session.status, 200, `${what}: ${session.text} ${server.output.slice(-500)}`);
  assert.equal(JSON.parse(session.text).user, 'alice', what);
  const stream = await Stream.open(server, { path: '/events?topic=orders', headers });
  assert.equal(stream.head.status, 200, what);
  const published = await client.publish({ topic: 'orders', data: what }, headers);
  assert.equal(published.status, 204, `${what}: ${published.text}`);
  await stream.waitFor((block) => block.data === what);
  stream.close();
}

/** Refused on every path with an audit line of that reason, and the connection goes on. */
export async function assertRefused(server, client, headers, reason, what, token) {
  for (const path of ['/events', '/session', '/publish']) {
    const body = path === '/publish' ? '{"data":"forged"}' : undefined;
    const answer = await client.ask(path, { headers: { 'Content-Type': 'application/json', ...headers }, body });
    assert.equal(answer.status, 401, `${what}, ${path}: ${answer.text}`);
    assert.equal(answer.text, '{"error":"unauthorized"}', what);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.ok(!answer.closes, what);
    const audit = await auditOf(server, answer);
    assert.deepEqual(audit, { action: 'token-refused', address: '127.0.0.1', user: '', reason }, what);
  }
  // The start and the end of it, as far as they are its own.
  for (const part of [token.slice(0, 40), token.slice(-40)]) {
    if (part.length === 40) assert.ok(!server.output.includes(part), `the log has the token: ${what}`);
  }
}
