// What the tests of identity share: raw requests on a kept connection, keys, users, and audit lines.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { request, until } from './harness.mjs';
import { Connection } from './wire.mjs';

/** npm `jose`, which needs a global that Node 18 does not have. */
export async function loadJose() {
  globalThis.crypto ??= crypto.webcrypto;
  return import('jose');
}

export const now = () => Math.floor(Date.now() / 1000);

/** A folder for the files of one test file; `remove` when it ends. */
export function scratchFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-identity-'));
  return {
    folder,
    write(name, content) {
      const file = path.join(folder, name);
      fs.writeFileSync(file, content, { mode: 0o600 });
      return file;
    },
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

// ---------------------------------------------------------------------------------------- requests
/** Requests with exactly these headers, one after the other on one connection as long as it lasts. */
export class Client {
  constructor(server, { localAddress, headers = {} } = {}) {
    this.server = server;
    this.options = localAddress ? { localAddress } : {};
    this.headers = headers;
    this.connections = 0;
  }

  /**
   * `headers` is an object, or a list of pairs when a name comes twice. The answer is that of
   * `Connection.answer`, with `closes`: whether this was the last one on the connection.
   */
  async ask(target, { method, headers = {}, body, host = 'localhost', timeoutMs } = {}) {
    if (!this.connection || this.connection.closed || this.connection.ended) {
      this.connection = await Connection.open(this.server.port, this.options);
      ++this.connections;
    }
    const pairs = [...Object.entries(this.headers), ...(Array.isArray(headers) ? headers : Object.entries(headers))];
    const lines = [`${method ?? (body === undefined ? 'GET' : 'POST')} ${target} HTTP/1.1`, `Host: ${host}`];
    for (const [name, value] of pairs) lines.push(`${name}: ${value}`);
    if (body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    this.connection.write(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
    const answer = await this.connection.answer(timeoutMs);
    answer.closes = answer.headers.connection === 'close';
    if (answer.closes) await this.connection.waitForClose();
    // A stream where none was wanted: what follows is no answer to the next request.
    if ('transfer-encoding' in answer.headers) this.close();
    return answer;
  }

  publish(event, headers = {}, options = {}) {
    const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
    return this.ask('/publish', {
      method: 'POST',
      headers: [['Content-Type', 'application/json'], ...pairs],
      body: JSON.stringify(event),
      ...options,
    });
  }

  login(username, password, headers = {}, options = {}) {
    return this.ask('/login', {
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ username, password }),
      ...options,
    });
  }

  logout(headers = {}, options = {}) {
    return this.ask('/logout', { method: 'POST', headers, body: '', ...options });
  }

  close() {
    this.connection?.close();
    this.connection = undefined;
  }
}

/** The token in an answer's `Set-Cookie`. */
export function cookieToken(answer, name = 'token') {
  const set = answer.headers['set-cookie'] ?? '';
  assert.ok(set.startsWith(`${name}=`), `${answer.status} ${set} ${answer.text}`);
  return set.slice(name.length + 1).split(';')[0];
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });
export const cookie = (token, name = 'token') => ({ Cookie: `${name}=${token}` });

// ----------------------------------------------------------------------------------------- server
/** The audit lines so far: {action, request, address, user, reason}. */
export function auditLines(server) {
  const lines = [];
  for (const line of server.output.split('\n')) {
    const text = /^\S+ audit +action=(\S+) request=([0-9a-f]{16}) address=(\S+) user="(.*)" reason="(.*)"$/.exec(line);
    if (text) {
      const [, action, id, address, user, reason] = text;
      lines.push({ action, request: id, address, user, reason });
    } else if (line.includes('"level":"audit"')) {
      const { time, level, ...rest } = JSON.parse(line);
      assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.equal(level, 'audit');
      lines.push(rest);
    }
  }
  return lines;
}

/** The only audit line of the request that was answered so, without its ID. */
export async function auditOf(server, answer) {
  const id = answer.headers['x-request-id'];
  assert.match(id ?? '', /^[0-9a-f]{16}$/, 'X-Request-Id');
  const find = () => auditLines(server).filter((line) => line.request === id);
  await until(() => find().length > 0, () => `an audit line of ${id}: ${server.output.slice(-1000)}`);
  assert.equal(find().length, 1, 'audit lines of one request');
  const { request: _, ...rest } = find()[0];
  return rest;
}

/** A metric's value on each shard. */
export async function perShard(server, name) {
  const { text } = await request(`${server.adminUrl}/metrics`);
  return [...text.matchAll(new RegExp(`^${name}\\{shard="\\d+"\\} (\\S+)$`, 'gm'))].map((match) => Number(match[1]));
}

// ----------------------------------------------------------------------------------- keys and users
const pem = (key) => key.export({ type: 'spki', format: 'pem' });

/** A key pair of each kind that signs: {privateKey, publicKey, pem, jwk}. */
export function makeKeyPairs() {
  const pairs = {
    rsa: crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    p256: crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    p384: crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ed25519: crypto.generateKeyPairSync('ed25519'),
  };
  for (const pair of Object.values(pairs)) {
    pair.pem = pem(pair.publicKey);
    pair.jwk = pair.publicKey.export({ format: 'jwk' });
  }
  return pairs;
}

/** All algorithms, and the kind of key of each. */
export const kindOf = {
  HS256: 'secret', HS384: 'secret', HS512: 'secret',
  RS256: 'rsa', RS384: 'rsa', RS512: 'rsa',
  PS256: 'rsa', PS384: 'rsa', PS512: 'rsa',
  ES256: 'p256', ES384: 'p384', EdDSA: 'ed25519',
};
export const algorithms = Object.keys(kindOf);

/** Writes the users with htpasswd(1), bcrypt: {name: password}. */
export function writeUsers(file, users, cost = 5) {
  Object.entries(users).forEach(([name, password], i) => {
    execFileSync('htpasswd', [...(i === 0 ? ['-c'] : []), '-B', '-b', '-C', String(cost), file, name, password], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  });
  return file;
}
