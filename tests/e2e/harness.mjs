// Starts the server and talks to it. Every test file has its own servers, on ports that the kernel chooses.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const binary = path.resolve(process.env.RINGCAST_BINARY ?? path.join(here, '../../build/ringcast'));
export const sanitized = path.dirname(binary).includes('asan');
/** Sanitized servers are slower; deadlines are multiplied by this. */
export const patience = sanitized ? 4 : 1;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `probe()` gives something truthy, and returns that. `what` is a text or makes one. */
export async function until(probe, what, timeoutMs = 5000) {
  const deadline = Date.now() + timeoutMs * patience;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`waited ${timeoutMs * patience} ms in vain: ${typeof what === 'function' ? what() : what}`);
    await sleep(5);
  }
}

// ------------------------------------------------------------------------------------------- modes
// Before Linux 6.13 a closed direct descriptor is not released while an older receive is armed.
function kernelHasDirect() {
  const [major, minor] = os.release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 13);
}

/** `describe` once for direct and once for ordinary descriptors, each with its own server. */
export function describeInEachMode(title, body) {
  const wanted = process.env.RINGCAST_DESCRIPTORS;
  for (const mode of wanted ? [wanted] : ['direct', 'ordinary']) {
    if (mode === 'direct' && !kernelHasDirect()) {
      test(`${title}, direct descriptors`, { skip: `needs Linux 6.13, this is ${os.release()}` }, () => {});
    } else {
      describe(`${title}, ${mode} descriptors`, () => body(mode));
    }
  }
}

/** A server for all tests of the surrounding `describe`. `options` may be a function, called late. */
export function sharedServer(options = {}) {
  const holder = {};
  before(async () => {
    holder.server = await Server.start(typeof options === 'function' ? options() : options);
  });
  after(async () => {
    await holder.server?.stop();
  });
  return holder;
}

// ------------------------------------------------------------------------------------------ server
// A section name may be dotted, and quoted as TOML wants it: 'auth.grants."a b"'.
function toml(config) {
  const lines = [];
  for (const [section, values] of Object.entries(config)) {
    lines.push(`[${section}]`);
    // JSON's strings, numbers, booleans and arrays are TOML's too.
    for (const [key, value] of Object.entries(values)) lines.push(`${key} = ${JSON.stringify(value)}`);
  }
  return lines.join('\n') + '\n';
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Server {
  /**
   * Starts `ringcast serve`. `config` has sections as in the configuration file; what is absent gets
   * two shards, free ports, a drain of one second and no authentication. With a section `auth` and no
   * keys in it, the server has a secret that `token` signs with. `cpus`: only these, as taskset takes them.
   */
  static async start({ config = {}, descriptors = 'auto', folder, cpus } = {}) {
    const server = new Server();
    server.ownsFolder = !folder;
    server.folder = folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-e2e-'));
    server.config = {
      ...config,
      server: {
        listen: ['127.0.0.1:0'],
        admin_listen: '127.0.0.1:0',
        shards: 2,
        drain_seconds: 1,
        descriptors,
        state_directory: path.join(server.folder, 'state'),
        ...config.server,
      },
    };
    fs.mkdirSync(server.config.server.state_directory, { recursive: true });
    server.useAuth(config.auth ?? { required: false });
    const file = path.join(server.folder, `ringcast-${Math.random().toString(36).slice(2)}.toml`);
    server.file = file;
    fs.writeFileSync(file, toml(server.config));

    server.output = '';
    const [command, ...words] = [...(cpus ? ['taskset', '--cpu-list', cpus] : []), binary, 'serve', '--config', file];
    server.child = spawn(command, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ASAN_OPTIONS: 'detect_leaks=1:exitcode=99',
        UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1:exitcode=99',
      },
    });
    running.add(server.child);
    for (const pipe of [server.child.stdout, server.child.stderr]) {
      pipe.setEncoding('utf8').on('data', (text) => (server.output += text));
    }
    server.exited = new Promise((resolve) => {
      server.child.on('error', (error) => resolve({ code: null, signal: null, error }));
      // `close` comes after the last output.
      server.child.on('close', (code, signal) => resolve({ code, signal }));
    }).then((status) => {
      running.delete(server.child);
      server.status = status;
      return status;
    });

    try {
      await until(() => server.findAddresses() || server.status, () => `the server says where it listens ${server.output}`, 10_000);
      assert.ok(!server.status, `the server ended at once: ${JSON.stringify(server.status)} ${server.output}`);
    } catch (error) {
      server.child.kill('SIGKILL');
      throw error;
    }
    return server;
  }

  useAuth(auth) {
    this.config.auth = { ...auth };
    if (auth.required === false || auth.secret_file || auth.key_files || auth.jwks_file) return;
    this.secret ??= crypto.randomBytes(48).toString('base64url');
    this.config.auth.secret_file = path.join(this.folder, 'jwt.secret');
    fs.writeFileSync(this.config.auth.secret_file, this.secret, { mode: 0o600 });
  }

  /** A token of HS256: `claims` over a user, an hour and no grants. */
  token(user, claims = {}, header = {}) {
    const now = Math.floor(Date.now() / 1000);
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part({ sub: user, iat: now, exp: now + 3600, ...claims })}`;
    return `${signed}.${crypto.createHmac('sha256', this.secret).update(signed).digest('base64url')}`;
  }

  /** `token` as a header. */
  bearer(user, claims) {
    return { Authorization: `Bearer ${this.token(user, claims)}` };
  }

  /** Changes sections of the configuration file and has the server read it again. */
  async reload(sections) {
    for (const [section, values] of Object.entries(sections)) {
      this.config[section] = { ...this.config[section], ...values };
    }
    fs.writeFileSync(this.file, toml(this.config));
    const said = () => (this.output.match(/configuration reloaded|was not reloaded/g) ?? []).length;
    const before = said();
    this.child.kill('SIGHUP');
    await until(() => said() > before, () => `the server reads its configuration again ${this.output}`);
    await sleep(50); // every shard takes it with its next turn
  }

  findAddresses() {
    const find = (pattern) => pattern.exec(this.output)?.[1];
    this.url = find(/listening on (http:\/\/[\w.:[\]]+)\/?(?![\w.:])/);
    this.adminUrl = find(/admin on (http:\/\/[\w.:[\]]+)\/?(?![\w.:])/);
    this.httpsUrl = find(/listening on (https:\/\/[\w.:[\]]+)\/?(?![\w.:])/);
    const { server, tls } = this.config;
    const wanted = [[server.listen.length > 0, this.url], [server.admin_listen, this.adminUrl], [tls?.listen?.length > 0, this.httpsUrl]];
    if (wanted.some(([isWanted, url]) => isWanted && !url)) return false;
    if (this.url) this.port = Number(new URL(this.url).port || 80);
    if (this.httpsUrl) this.tlsPort = Number(new URL(this.httpsUrl).port || 443);
    return true;
  }

  signal(name) {
    this.signalled = true;
    this.child.kill(name);
  }

  /** Ends the server the way an operator does (unless that was done) and checks that it left cleanly. */
  async stop() {
    if (!this.signalled) this.signal('SIGTERM'); // a second one would cut the drain short
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, 15_000 * patience, 'late')));
    const status = await Promise.race([this.exited, late]);
    clearTimeout(timer); // or it would keep the process alive
    if (status === 'late') this.child.kill('SIGKILL');
    const output = this.output;
    if (this.ownsFolder) fs.rmSync(this.folder, { recursive: true, force: true });
    assert.notEqual(status, 'late', `the server did not stop\n${output}`);
    this.assertNoSanitizerReport();
    assert.deepEqual(status, { code: 0, signal: null }, output);
  }

  assertNoSanitizerReport() {
    assert.doesNotMatch(this.output, /(Address|Leak|UndefinedBehavior|Thread)Sanitizer|runtime error:/);
  }

  assertRunning() {
    assert.ok(!this.status, `the server ended: ${JSON.stringify(this.status)}\n${this.output}`);
  }

  /** Publishes, checks the answer and returns the event's ID. */
  async publish(event) {
    const answer = await this.post(event);
    assert.equal(answer.status, 204, answer.text);
    const id = answer.headers['event-id'];
    assert.match(id ?? '', /^\d+-\d+$/);
    return id;
  }

  /** `POST /publish` with any body: an object is sent as JSON, text and bytes as they are. */
  post(body, headers = { 'Content-Type': 'application/json' }) {
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return request(`${this.url}/publish`, { method: 'POST', headers, body: bytes });
  }

  /** The Prometheus samples: name → sum over its labels. */
  async metrics() {
    const answer = await request(`${this.adminUrl}/metrics`);
    assert.equal(answer.status, 200);
    const sums = new Map();
    for (const line of answer.text.split('\n')) {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)$/.exec(line);
      if (match) sums.set(match[1], (sums.get(match[1]) ?? 0) + Number(match[2]));
    }
    return sums;
  }

  async metric(name) {
    const metrics = await this.metrics();
    assert.ok(metrics.has(name), `no metric ${name} among ${[...metrics.keys()].join(' ')}`);
    return metrics.get(name);
  }
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

/** One request with node's client, on a kept connection: {status, headers, text}. */
export function request(url, { method = 'GET', headers = {}, body, timeoutMs = 10_000 } = {}) {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const outgoing = http.request(url, { method, headers: { ...headers, ...length }, agent }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        resolve({ status: response.statusCode, headers: response.headers, text });
      });
      response.on('error', reject);
    });
    outgoing.setTimeout(timeoutMs * patience, () => outgoing.destroy(new Error(`no answer from ${url}`)));
    // A kept connection that the server closed meanwhile says nothing about the server.
    outgoing.on('error', (error) => {
      if (outgoing.reusedSocket && error.code === 'ECONNRESET') {
        resolve(request(url, { method, headers, body, timeoutMs }));
      } else {
        reject(error);
      }
    });
    outgoing.end(body);
  });
}

/** The error of a JSON answer, after checking its form. */
export function errorOf(answer) {
  assert.match(answer.headers['content-type'] ?? '', /^application\/json/);
  const body = JSON.parse(answer.text);
  assert.deepEqual(Object.keys(body), ['error']);
  assert.equal(typeof body.error, 'string');
  assert.notEqual(body.error, '');
  return body.error;
}

/** Numbers from a seed (mulberry32), so that a failing run can be repeated. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function compareIds(a, b) {
  const [left, right] = [a, b].map((id) => id.split('-').map(BigInt));
  if (left[0] !== right[0]) return left[0] < right[0] ? -1 : 1;
  return left[1] === right[1] ? 0 : left[1] < right[1] ? -1 : 1;
}
