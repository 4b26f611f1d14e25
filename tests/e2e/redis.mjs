// A real redis-server of the test's own, and those who publish through it without Ringcast.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { createClient } from 'redis';

import { until } from './harness.mjs';
import { freePort } from './nginx.mjs';

const execute = promisify(execFile);

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL'); // a stopped process hears this one, too
});

/** The first line that a server says to PING, or nothing. */
function ping(host, port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port }, () => socket.write('PING\r\n'));
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (bytes) => {
      resolve(bytes.toString().split('\r\n')[0]);
      socket.destroy();
    });
    socket.on('error', () => {}).on('close', () => resolve(undefined));
  });
}

export class Redis {
  /**
   * `options` are directives of redis.conf: {appendonly: 'yes'}. Nothing is saved unless they say so.
   * `prefix` is a command that the server is started with, such as `ip netns exec NAME`, `host` where it
   * is reached, `bind` where it listens.
   */
  static async start({ options = {}, prefix = [], host = '127.0.0.1', bind = host } = {}) {
    const redis = new Redis();
    redis.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-redis-'));
    redis.port = await freePort();
    redis.host = host;
    redis.bind = bind;
    redis.prefix = prefix;
    redis.options = options;
    redis.clients = new Set();
    redis.output = '';
    await redis.run();
    return redis;
  }

  async run() {
    const options = { save: '', 'protected-mode': 'no', dir: this.folder, ...this.options };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, ...[value].flat()]);
    const [command, ...before] = [...this.prefix, 'redis-server'];
    const child = spawn(command, [...before, '--port', String(this.port), '--bind', ...this.bind.split(' '), ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    running.add(child);
    for (const pipe of [child.stdout, child.stderr]) pipe.setEncoding('utf8').on('data', (text) => (this.output += text));
    this.exited = new Promise((resolve) => child.on('close', resolve)).then(() => running.delete(child));
    await until(async () => {
      assert.ok(running.has(child), `redis-server ended: ${this.output}`);
      return /^\+PONG|^-(NOAUTH|NOPERM)/.test((await ping(this.host, this.port)) ?? '');
    }, () => `redis-server answers: ${this.output.slice(-1000)}`);
  }

  /** For the configuration; `user` is "name:password" or ":password". */
  url({ user = '', database, host = this.host } = {}) {
    return `redis://${user && `${user}@`}${host}:${this.port}${database === undefined ? '' : `/${database}`}`;
  }

  async kill9() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Begins again, on the same port, with what is in the folder. `options` replace some of those before. */
  async restart(options = {}) {
    if (running.has(this.child)) {
      this.child.kill('SIGTERM');
      await this.exited;
    }
    Object.assign(this.options, options);
    await this.run();
  }

  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  async stop() {
    for (const client of this.clients) client.destroy();
    this.thaw();
    this.child.kill('SIGTERM');
    await this.exited;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** What redis-cli prints; an error reply is an error. */
  async cli(...words) {
    const { stdout } = await execute('redis-cli', ['-e', '-h', this.host, '-p', String(this.port), ...words.map(String)]);
    return stdout.replace(/\n$/, '');
  }

  /** A client of the npm package. */
  async client(options = {}) {
    const client = createClient({ url: this.url(), socket: { reconnectStrategy: false }, ...options });
    client.on('error', () => {}); // each command fails by itself
    await client.connect();
    this.clients.add(client);
    return client;
  }

  /** Publishes with Python's client, one after the other, pausing in between: how many subscribers heard each. */
  async publishFromPython(channel, messages, pauseMs = 0) {
    const script = [
      'import json, sys, time, redis',
      'client = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]))',
      'for message in json.load(sys.stdin):',
      '    print(client.publish(sys.argv[3], message))',
      '    time.sleep(float(sys.argv[4]) / 1000)',
    ].join('\n');
    // Debian's own Python, since the package is Debian's.
    const promise = execute('/usr/bin/python3', ['-c', script, this.host, String(this.port), channel, String(pauseMs)]);
    promise.child.stdin.end(JSON.stringify(messages));
    const { stdout } = await promise;
    return stdout.trim().split('\n').map(Number);
  }

  /** CLIENT LIST as objects: {id, name, addr, cmd, …}. */
  async clientList() {
    const lines = (await this.cli('CLIENT', 'LIST')).split('\n');
    return lines.filter(Boolean).map((line) => Object.fromEntries(line.split(' ').map((word) => word.split(/=(.*)/s))));
  }
}
