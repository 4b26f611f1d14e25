// A stream never gets an event of a topic that it may not read, and every event that it may, once and in
// order: random users, grants, topics, positions and sign-outs against a model (rooms_model.mjs).
//
// RINGCAST_SEED=<number> repeats the random choices; the seed is printed, and named in each failure.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compareIds, describeInEachMode, errorOf, random, request, Server } from './harness.mjs';
import { History, mayPublish, mayRead, parseId } from './rooms_model.mjs';
import { Stream } from './wire.mjs';

const seed = Number(process.env.RINGCAST_SEED ?? Math.floor(Math.random() * 1e9));
console.log(`rooms: RINGCAST_SEED=${seed}`);

const steps = 1000;
const kept = 48; // events of the history
const streamsMax = 24;

// Names that differ only a little, or that look like patterns, paths, escapes or topics of others.
const users = ['ann', 'Ann', 'bob', '*', '{self}', 'a/b', 'user/bob', 'ü 3', 'orders', '%61nn', 'bob/*', 'a b+c', 'dot.name'];
const fixedTopics = [
  'orders', 'Orders', 'orders/', 'orders/1', 'orders/1/2', 'ORDERS/1', ' orders', 'orders ', 'user', 'user/', 'users/bob',
  'User/bob', 'user/bob/', 'user/bob/x', 'user//bob', '*', 'user/*', '{self}', 'x/{self}', 'orders/*', 'user/{self}', 'x', 'x/',
  'x/ann/deep', 'a%2Fb', 'user%2Fbob', 'a&topic=orders', '?', '#', '=', '+', 'room/ü 3', 'room/u\u0308 3', '"quoted\\"',
  ...users, ...users.map((user) => `user/${user}`), ...users.map((user) => `x/${user}`), ...users.map((user) => `${user}/mine`),
];
const patterns = [
  '', 'orders', 'Orders', 'orders/', 'orders/*', 'user/*', 'user/bob', 'user/bob/*', 'x', 'x/*', 'x/ann/*', 'room/ü 3', 'a%2Fb',
  '{self}', 'x/{self}', '{self}/*', 'x/{self}/*', 'user/{self}/*', '/*', 'fresh/*', '%61nn', 'a/b', '.', 'user/.', 'user/', 'ord./*',
];

/** The error with a line before it, which every reporter shows. */
function explained(error, line) {
  error.message = `${line}\n${error.message}`;
  error.stack = `${line}\n${error.stack}`;
  return error;
}

/** Random choices. */
class Dice {
  constructor(from) {
    this.roll = random(from);
  }
  below(count) {
    return Math.floor(this.roll() * count);
  }
  chance(part) {
    return this.roll() < part;
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  some(list, most) {
    return Array.from({ length: this.below(most + 1) }, () => this.pick(list));
  }
  grants() {
    const list = () => [...new Set(this.chance(0.15) ? ['*'] : this.some(patterns, 6))];
    return { subscribe: list(), publish: list() };
  }
  /** Every byte may be escaped, in either case; some must be. */
  encoded(text) {
    let out = '';
    for (const byte of Buffer.from(text)) {
      const letter = String.fromCharCode(byte);
      if (letter === ' ' && this.chance(0.5)) out += '+';
      else if (/[\w.~/*{}!:@,-]/.test(letter) && byte < 128 && this.chance(0.8)) out += letter;
      else out += `%${byte.toString(16).padStart(2, '0')[this.chance(0.5) ? 'toUpperCase' : 'toLowerCase']()}`;
    }
    return out;
  }
}

class Rooms {
  constructor(server, dice, table, floor) {
    this.server = server;
    this.dice = dice;
    this.table = table; // [auth.grants]
    this.history = new History(floor, kept);
    this.sessions = [];
    this.signedOut = [];
    this.streams = [];
    this.serial = 0;
    this.counts = { streams: 0, forbidden: 0, published: 0, notPublished: 0, signOuts: 0, readers: 0 };
    this.marker = server.bearer('marker', { ringcast: { publish: [''] } });
    const everything = { subscribe: [], publish: ['*'] };
    this.newsroom = { user: 'newsroom', claim: everything, token: server.token('newsroom', { ringcast: everything }) };
  }

  signIn() {
    const user = this.dice.pick(users);
    const claim = this.dice.chance(0.5) ? this.dice.grants() : undefined;
    const token = this.server.token(user, { jti: `${++this.serial}`, ...(claim && { ringcast: claim }) });
    const session = { user, claim, token };
    this.sessions.push(session);
    return session;
  }

  session() {
    return this.sessions.length < 12 || this.dice.chance(0.1) ? this.signIn() : this.dice.pick(this.sessions);
  }

  grantsOf({ user, claim }) {
    return { subscribe: [], publish: [], ...(claim ?? this.table[user] ?? this.table['*']) };
  }

  credentials({ token }) {
    return this.dice.chance(0.5) ? { Authorization: `Bearer ${token}` } : { Cookie: `a=b; token=${token}` };
  }

  topic() {
    return this.dice.chance(0.15) ? `${this.dice.pick(['', 'fresh/', 'orders/'])}t${this.serial}` : this.dice.pick(fixedTopics);
  }

  async publish() {
    const { dice } = this;
    const session = dice.chance(0.6) ? this.newsroom : this.session();
    const listeners = dice.chance(0.5) && this.streams.length > 0 ? [...dice.pick(this.streams).topics] : [];
    const topic = dice.chance(0.12) ? '' : listeners.length > 0 ? dice.pick(listeners) : this.topic();
    const event = dice.chance(0.3) ? 'install' : undefined;
    const data = `${++this.serial} to ${topic}`;
    const headers = { 'Content-Type': 'application/json', ...this.credentials(session) };
    const began = performance.now();
    const answer = await this.server.post({ data, event, ...(topic && { topic }) }, headers);
    if (mayPublish(this.grantsOf(session), topic, session.user)) {
      assert.equal(answer.status, 204, `${session.user} to ${topic}: ${answer.text}`);
      this.history.add({ id: answer.headers['event-id'], topic, event, data, began });
      ++this.counts.published;
    } else {
      assert.equal(answer.status, 403, `${session.user} to ${topic}`);
      const room = topic ? `"${topic}"` : 'the public room';
      assert.equal(errorOf(answer), `topic: you may not publish to ${room}`);
      ++this.counts.notPublished;
    }
  }

  position() {
    const { dice } = this;
    const { events, floor } = this.history;
    const known = () => (events.length === 0 ? floor : dice.pick(dice.chance(0.8) ? events.slice(-kept) : events).id);
    const part = () => known().split('-').map(BigInt);
    return dice.pick([
      () => undefined,
      known,
      known,
      known,
      () => '0-0',
      () => floor,
      () => `${part()[0]}-${part()[1] + 1n + BigInt(dice.below(3))}`,
      () => `${part()[0] + 1n}-0`,
      () => `${part()[0] + BigInt(dice.below(5)) - 2n}-${dice.below(3)}`,
      () => `${part()[0] + 1_000_000n}-0`,
      () => `${1 + dice.below(1000)}-0`,
      () => dice.pick(['x', '-', '1-', '-1', '1', '1-1-1', '1 -1', '+1-1', '1-99999999999999999999', '0x1-0', known().replace('-', '.')]),
    ])();
  }

  topics(session) {
    const count = this.dice.chance(0.1) ? 64 : 1 + this.dice.below(this.dice.chance(0.3) ? 30 : 6);
    const grants = this.grantsOf(session);
    const only = this.dice.chance(0.8);
    const topics = Array.from({ length: count }, () => this.topic());
    const readable = only ? topics.filter((topic) => mayRead(grants, topic, session.user)) : topics;
    return readable.length > 0 || this.dice.chance(0.5) ? readable : [`user/${session.user}`];
  }

  /** Opens a stream, or is told what it may not read. */
  async open(session = this.session(), topics = this.topics(session), asked = this.position()) {
    const { dice, history } = this;
    const query = topics.map((topic) => `topic=${dice.encoded(topic)}`);
    const headers = this.credentials(session);
    if (asked !== undefined && dice.chance(0.5)) headers['Last-Event-ID'] = asked;
    else if (asked !== undefined) query.splice(dice.below(query.length + 1), 0, `last_event_id=${dice.encoded(asked)}`);
    const path = `/events${query.length ? '?' : ''}${query.join('&')}`;
    const grants = this.grantsOf(session);
    const eventsBefore = history.events.length;
    const stream = await Stream.open(this.server, { path, headers });
    const forbidden = topics.find((topic) => !mayRead(grants, topic, session.user));
    if (forbidden !== undefined) {
      assert.equal(stream.head.status, 403, `${session.user} opened ${path}`);
      await stream.until(() => /\r\n\r\n\{[^]*\}$/.test(stream.connection.text), 'the error');
      const text = stream.connection.bytes.toString('utf8');
      assert.equal(errorOf({ headers: stream.head.headers, text: text.slice(text.indexOf('\r\n\r\n') + 4) }), `topic: you may not read "${forbidden}"`);
      assert.equal(stream.blocks.length, 0);
      stream.close();
      ++this.counts.forbidden;
      return;
    }
    assert.equal(stream.head.status, 200, `${session.user} opened ${path}: ${stream.connection.text}`);
    ++this.counts.streams;
    this.streams.push(
      Object.assign(stream, {
        session,
        asked,
        path,
        topics: new Set([...topics, `user/${session.user}`]),
        eventsBefore,
        eventsMeanwhile: history.events.length - eventsBefore,
      }),
    );
  }

  check(stream, options) {
    try {
      this.history.verify(stream, options);
    } catch (error) {
      const grants = JSON.stringify(this.grantsOf(stream.session));
      throw explained(error, `${stream.session.user} ${grants} opened ${stream.path} at ${stream.asked}`);
    }
  }

  /** Everybody hears one more event; what came before it is all that there is. */
  async checkAll() {
    const data = `marker ${++this.serial}`;
    const answer = await this.server.post({ data }, { 'Content-Type': 'application/json', ...this.marker });
    assert.equal(answer.status, 204, answer.text);
    const id = answer.headers['event-id'];
    this.history.add({ id, topic: '', data, began: performance.now() });
    const there = (stream) => stream.blocks.some((block) => block.id === id && block.data === data);
    await Promise.all(this.streams.map((stream) => stream.until(() => there(stream), `the marker at ${stream.path}, seed ${seed}`)));
    for (const stream of this.streams) {
      this.check(stream);
      assert.deepEqual(stream.named('closing'), []);
    }
    this.counts.readers += this.streams.filter((stream) => stream.events.some((event) => !event.data.startsWith('marker'))).length;
  }

  take() {
    return this.streams.splice(this.dice.below(this.streams.length), 1)[0];
  }

  leave(stream) {
    this.check(stream, { prefix: true });
    if (this.dice.chance(0.3)) stream.connection.reset();
    else stream.connection.close();
  }

  async closeOne() {
    if (this.streams.length > 0) this.leave(this.take());
  }

  /** As an EventSource does it: from the last ID that it heard. */
  async reconnect() {
    if (this.streams.length === 0) return;
    const stream = this.take();
    this.leave(stream);
    const last = stream.blocks.findLast((block) => block.id !== undefined)?.id ?? stream.asked;
    const grants = this.grantsOf(stream.session); // may have changed meanwhile
    await this.open(stream.session, [...stream.topics].filter((topic) => mayRead(grants, topic, stream.session.user)), last);
  }

  async signOut() {
    if (this.sessions.length === 0) return;
    const [session] = this.sessions.splice(this.dice.below(this.sessions.length), 1);
    const answer = await request(`${this.server.url}/logout`, { method: 'POST', headers: this.credentials(session), body: '' });
    assert.equal(answer.status, 204);
    const signedOutAt = performance.now();
    const theirs = this.streams.filter((stream) => stream.session === session);
    this.streams = this.streams.filter((stream) => stream.session !== session);
    this.signedOut.push(session);
    ++this.counts.signOuts;
    if (this.dice.chance(0.5)) await Promise.all(Array.from({ length: 5 }, () => this.publish()));
    for (const stream of theirs) {
      await stream.waitForEnd();
      this.check(stream, { prefix: true });
      assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason: 'signed-out' });
      assert.ok(stream.gracefullyEnded);
      const late = new Set(this.history.events.filter((event) => event.began > signedOutAt).map((event) => event.id));
      assert.deepEqual(stream.events.filter((event) => late.has(event.id)), [], 'published after the sign-out');
      stream.close();
    }
  }

  /** Whoever is not signed in gets nothing at all. */
  async stranger() {
    const { dice, server } = this;
    const headers = dice.pick([
      () => ({}),
      () => ({ Authorization: 'Bearer nobody' }),
      () => server.bearer('ann', { exp: Math.floor(Date.now() / 1000) - 60 }),
      () => ({ Authorization: `${server.bearer('ann').Authorization}x` }),
      () => (this.signedOut.length > 0 ? this.credentials(dice.pick(this.signedOut)) : {}),
      () => (this.signedOut.length > 0 ? this.credentials(dice.pick(this.signedOut)) : {}),
    ])();
    const stream = await Stream.open(server, { headers, path: `/events?topic=${dice.encoded(this.topic())}&last_event_id=0-0` });
    assert.equal(stream.head.status, 401);
    assert.equal(stream.blocks.length, 0);
    stream.close();
    const answer = await server.post({ data: 'of a stranger' }, { 'Content-Type': 'application/json', ...headers });
    assert.equal(answer.status, 401);
  }

  /** Much at once, on both shards: publishers, those who come and those who come back. */
  async burst() {
    const begin = this.streams.length;
    const events = this.history.events.length;
    const publishing = Array.from({ length: 10 + this.dice.below(20) }, () => this.publish());
    const opening = Array.from({ length: 1 + this.dice.below(4) }, () => this.open());
    await Promise.all([...publishing, ...opening]);
    for (const stream of this.streams.slice(begin)) stream.eventsMeanwhile = this.history.events.length - events;
  }

  /** Grants change for those who come later; open streams keep what they have. */
  async reload() {
    const sections = {};
    for (const user of Object.keys(this.table)) {
      if (this.dice.chance(0.5)) continue;
      this.table[user] = this.dice.grants();
      sections[`auth.grants.${JSON.stringify(user)}`] = this.table[user];
    }
    await this.server.reload(sections);
  }

  async step() {
    while (this.streams.length > streamsMax) await this.closeOne();
    const chances = [
      [30, () => this.publish()],
      [26, () => this.open()],
      [12, () => this.reconnect()],
      [6, () => this.closeOne()],
      [7, () => this.burst()],
      [6, () => this.signOut()],
      [4, () => this.stranger()],
      [8, () => this.checkAll()],
      [1, () => this.reload()],
    ];
    let left = this.dice.below(chances.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, body] of chances) {
      left -= weight;
      if (left < 0) return body();
    }
  }
}

describeInEachMode('rooms', (descriptors) => {
  test('EachStreamGetsExactlyWhatItMayReadOnceAndInOrder', async () => {
    const dice = new Dice(seed + (descriptors === 'direct' ? 0 : 1));
    const table = Object.fromEntries(['*', ...users.slice(0, 8)].map((user) => [user, dice.grants()]));
    table.ann = { subscribe: ['*'], publish: ['*'] };
    delete table['a/b']; // as everybody without an entry
    const server = await Server.start({
      descriptors,
      config: {
        auth: {},
        history: { events: kept, bytes: '1MiB' },
        limits: { event_bytes: 4096, header_bytes: 65536 },
        stream: { heartbeat_seconds: 0.5 },
        ...Object.fromEntries(Object.entries(table).map(([user, grants]) => [`auth.grants.${JSON.stringify(user)}`, grants])),
      },
    });
    try {
      const first = await Stream.open(server, { headers: server.bearer('first') });
      const { id } = await first.waitFor((block) => block.event === 'heartbeat');
      first.close();
      const rooms = new Rooms(server, dice, table, id);
      for (let i = 0; i < steps; ++i) {
        try {
          await rooms.step();
        } catch (error) {
          throw explained(error, `in step ${i}, seed ${seed}`);
        }
      }
      await rooms.checkAll();
      rooms.streams.forEach((stream) => stream.close());

      // The dice must have shown what the test is about.
      const { counts, history } = rooms;
      console.log(`rooms: ${JSON.stringify({ ...counts, ...history.gaps, exactResumes: history.exactResumes })}`);
      for (const [name, count] of Object.entries({ ...counts, ...history.gaps, resumed: history.exactResumes })) {
        assert.ok(count > 0, `no ${name} in ${steps} steps, seed ${seed}`);
      }
      assert.equal(parseId(history.events.at(-1).id), history.events.at(-1).id);
      assert.ok(compareIds(history.events[0].id, id) > 0);
    } finally {
      await server.stop();
    }
  });
});
