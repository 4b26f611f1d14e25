// Several servers on one Redis, and what everybody who is connected to them must have got.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

import { compareIds, request, Server, sleep, until } from './harness.mjs';
import { Redis } from './redis.mjs';
import { Stream } from './wire.mjs';

export const channel = 'events';
export const streamKey = 'ringcast:events';

/** The process that a TCP connection begins at. */
function ownerOf(address) {
  const out = execFileSync('ss', ['-tnpH', 'src', address], { encoding: 'utf8' });
  return Number(/pid=(\d+)/.exec(out)?.[1]);
}

export class Cluster {
  /**
   * `config` is that of every instance, or a function of its number. `redis` are options of
   * `Redis.start`, or one that runs.
   */
  static async start(count, { config = {}, redis = {}, settled = true } = {}) {
    const cluster = new Cluster();
    cluster.servers = [];
    cluster.streams = [];
    cluster.config = typeof config === 'function' ? config : () => config;
    cluster.redis = redis instanceof Redis ? redis : await Redis.start(redis);
    try {
      for (let i = 0; i < count; ++i) await cluster.add();
      if (settled) await cluster.settled();
    } catch (error) {
      await cluster.abandon();
      throw error;
    }
    return cluster;
  }

  /** Starts one instance more. */
  async add() {
    const config = this.config(this.servers.length);
    const server = await Server.start({ config: { ...config, redis: { url: this.redis.url(), ...config.redis } } });
    this.servers.push(server);
    return server;
  }

  /** Waits until all are ready, number the channel's messages, and one of them relays. */
  async settled(timeoutMs = 15_000) {
    let said = '';
    const look = async (server) => {
      const [metrics, ready] = await Promise.all([server.metrics(), request(`${server.adminUrl}/readyz`)]);
      return { ready: ready.status, standing: metrics.get('ringcast_redis_standing'), relay: metrics.get('ringcast_redis_relay') };
    };
    await until(
      async () => {
        const states = await Promise.all(this.servers.map(look));
        said = JSON.stringify(states);
        const relays = states.filter(({ relay }) => relay === 1).length;
        return (states.every(({ ready, standing }) => ready === 200 && standing === 1) && relays === 1) || sleep(30);
      },
      () => `all instances are ready and stand, and one relays: ${said}`,
      timeoutMs,
    );
  }

  /** The instance that relays the channel. */
  relay(timeoutMs = 10_000) {
    return until(
      async () => {
        for (const server of this.servers) if ((await server.metric('ringcast_redis_relay')) === 1) return server;
        return sleep(20);
      },
      'one of the instances relays',
      timeoutMs,
    );
  }

  /** A metric's sum over the instances. */
  async sum(name) {
    const values = await Promise.all(this.servers.map((server) => server.metric(name)));
    return values.reduce((sum, value) => sum + value, 0);
  }

  /** A connection of an instance as Redis lists it: `role` is commands, tail or channel. */
  async connectionOf(server, role) {
    for (const client of await this.redis.clientList()) {
      if (client.name === `ringcast-${role}` && ownerOf(client.addr) === server.child.pid) return client;
    }
    return undefined;
  }

  async open(server, options) {
    const stream = await Stream.open(server, options);
    this.streams.push(stream);
    return stream;
  }

  /** `each` fresh streams on each instance, that have said where they begin. */
  async openAll(each = 1, options = {}) {
    const opened = await Promise.all(this.servers.flatMap((server) => Array.from({ length: each }, () => this.open(server, options))));
    await Promise.all(opened.map((stream) => stream.waitFor((block) => block.event === 'heartbeat', 'the first heartbeat')));
    return opened;
  }

  /** Ends an instance without a last word. */
  async kill(server) {
    this.servers.splice(this.servers.indexOf(server), 1);
    server.signal('SIGKILL');
    await server.exited;
  }

  /** Publishes, again and again while it is refused, an event that comes after all before it; its ID. */
  async marker(server = this.servers[0]) {
    return until(async () => {
      const answer = await server.post({ data: 'the last' });
      return answer.status === 204 && answer.headers['event-id'];
    }, 'the last event is taken', 30_000);
  }

  /** Waits until streams have got a new event that comes after all before it; its ID. */
  async flush(streams, server) {
    const id = await this.marker(server);
    await Promise.all(streams.map((stream) => stream.until(() => stream.blocks.findLast((block) => block.id === id), `the last event ${id}`, 15_000)));
    return id;
  }

  async stop() {
    for (const stream of this.streams) stream.close();
    for (const server of this.servers) await server.stop();
    await this.redis.stop();
  }

  /** After a failure: whatever is still there ends. */
  async abandon() {
    for (const stream of this.streams) stream.connection.close();
    for (const server of this.servers) {
      if (!server.status) server.child.kill('SIGKILL');
      await server.exited;
    }
    await this.redis.stop();
  }
}

/** Runs `body` with a cluster of its own; when it fails, shows what the servers said. */
export function withCluster(count, options, body) {
  return async () => {
    const cluster = await Cluster.start(count, typeof options === 'function' ? options() : options);
    try {
      await body(cluster);
    } catch (error) {
      cluster.servers.forEach((server, i) => console.log(`instance ${i} said:\n${server.output.slice(-3000)}`));
      await cluster.abandon();
      throw error;
    }
    await cluster.stop();
  };
}

// ------------------------------------------------------------------------------------------ checks
/** An event as publishers know it, with its ID. */
export const shown = ({ id, event, data, retry }) => ({ id, event, data, retry });

/** IDs grow from event to event, so that none comes twice. */
export function assertOrdered(events) {
  for (let i = 1; i < events.length; ++i) {
    assert.ok(compareIds(events[i].id, events[i - 1].id) > 0, `${events[i].id} after ${events[i - 1].id} (event ${i})`);
  }
}

/** Every stream got the same events under the same IDs in one order, each once, and nothing else happened. */
export function assertSame(streams, { gaps = 0 } = {}) {
  const [first, ...others] = streams.map((stream) => stream.events.map(shown));
  assertOrdered(first);
  others.forEach((events, i) => {
    const at = first.findIndex((event, k) => event.id !== events[k]?.id || event.data !== events[k]?.data);
    assert.equal(at, -1, `stream ${i + 1} differs from stream 0 at ${at}: ${JSON.stringify(events[at])} for ${JSON.stringify(first[at])}`);
    assert.deepEqual(events, first);
  });
  for (const stream of streams) {
    assert.equal(stream.failure, null);
    assert.equal(stream.named('gap').length, gaps, JSON.stringify(stream.named('gap')));
    assert.deepEqual(stream.named('closing'), []);
    assert.ok(!stream.connection.closed && !stream.connection.ended, 'the stream is open');
  }
}

const count = (map, key, more = 1) => map.set(key, (map.get(key) ?? 0) + more);
const total = (map) => [...map.values()].reduce((sum, value) => sum + value, 0);

/** What publishers sent, and what became of it: acknowledged ⊆ received ⊆ sent. Equal texts are counted. */
export class Ledger {
  sent = new Map();
  acknowledged = new Map();
  refused = new Map(); // certainly not taken
  ids = new Map();     // of what was acknowledged: ID → data

  /** `POST /publish`; what was not acknowledged is not tried again. */
  async post(server, event) {
    count(this.sent, event.data);
    let answer;
    try {
      answer = await server.post(event);
    } catch {
      return undefined; // the server is gone: nobody knows
    }
    if (answer.status === 204) {
      this.acknowledge(event.data, answer.headers['event-id']);
      return answer;
    }
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/, `Retry-After of ${answer.text}`);
    if (!/may have been/.test(answer.text)) count(this.refused, event.data);
    return answer;
  }

  /** `PUBLISH` with a client; it is acknowledged by at least `hearers` who heard it. */
  async say(client, event, hearers = 1) {
    count(this.sent, event.data);
    try {
      if ((await client.publish(channel, JSON.stringify(event))) >= hearers) this.acknowledge(event.data);
    } catch {
      // the connection is gone: nobody knows
    }
  }

  acknowledge(data, id) {
    count(this.acknowledged, data);
    if (!id) return;
    assert.ok(!this.ids.has(id), `${id} was given twice`);
    this.ids.set(id, data);
  }

  get counts() {
    return { sent: total(this.sent), acknowledged: total(this.acknowledged) };
  }

  /** Holds what a stream received against it. Texts that are no part of the ledger are the test's own. */
  check(events, what = '') {
    const received = new Map();
    for (const { data } of events) if (this.sent.has(data)) count(received, data);
    console.log(`${what}: ${JSON.stringify({ ...this.counts, received: total(received), refused: total(this.refused) })}`);
    for (const [data, times] of this.sent) {
      const got = received.get(data) ?? 0;
      const acknowledged = this.acknowledged.get(data) ?? 0;
      assert.ok(got >= acknowledged, `lost: ${JSON.stringify(data)} came ${got} times, ${acknowledged} were acknowledged`);
      assert.ok(got <= times - (this.refused.get(data) ?? 0), `too much: ${JSON.stringify(data)} came ${got} times, ${times} were sent, ${this.refused.get(data) ?? 0} of them refused`);
    }
    const byId = new Map(events.map(({ id, data }) => [id, data]));
    for (const [id, data] of this.ids) assert.equal(byId.get(id), data, `the event that was acknowledged as ${id}`);
  }
}

/** Runs `step(i)` again and again, `everyMs` apart, until `done` is called; that waits for the last one. */
export function repeat(step, everyMs = 0) {
  let running = true;
  const loop = (async () => {
    for (let i = 0; running; ++i) {
      await step(i);
      if (everyMs > 0) await sleep(everyMs);
      else await new Promise(setImmediate);
    }
  })();
  loop.catch(() => {}); // is told by `done`
  return async () => {
    running = false;
    await loop;
  };
}
