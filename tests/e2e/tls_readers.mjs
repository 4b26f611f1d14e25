// Clients that read event streams over TLS in every awkward way, and the comparison of all that they read with all
// that was published.
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';

import { compareIds, sleep } from './harness.mjs';
import { openTlsStream, sClient } from './tls.mjs';
import { Connection, Stream } from './wire.mjs';

// -------------------------------------------------------------------------------------- what is published
const letters = 'abcdefghijklmnopqrstuvwxyz0123456789 ,.:{}"\\\'';

/** Text of which no two parts are alike. */
function makeText(roll, size) {
  let text = '';
  for (let i = 0; i < size; ++i) text += letters[Math.floor(roll() * letters.length)];
  return text;
}

/** All that was published, in the order of the IDs. */
export class Published {
  constructor(server, roll, topics) {
    this.server = server;
    this.roll = roll;
    this.topics = topics;
    this.events = [];
    this.source = makeText(roll, 210_000);
    this.bytes = 0;
  }

  /** One event of 1 B to 200 KB, small ones more often. */
  async one() {
    const { roll } = this;
    const size = Math.max(1, Math.floor(Math.exp(roll() * Math.log(200_000))));
    let data = this.source.slice(Math.floor(roll() * (this.source.length - size)), size + this.source.length).slice(0, size);
    if (roll() < 0.3) data = `ü${data.replace(/z/g, '\n')}`;
    const topic = this.topics[Math.floor(roll() * this.topics.length)];
    const event = roll() < 0.3 ? 'tick' : undefined;
    const id = await this.server.publish({ data, ...(topic && { topic }), ...(event && { event }) });
    this.events.push({ id, event, data, topic });
    this.bytes += data.length;
  }

  /** Those that a reader of these topics may get. */
  visibleTo(topics) {
    return this.events.filter(({ topic }) => !topic || topics.includes(topic));
  }
}

// ------------------------------------------------------------------------------------------ comparison
/**
 * Checks one connection's blocks. `requested` is the Last-Event-ID that it began with, `visible` all events that it
 * may get. Each comes once and in order, unless a gap says from where it goes on. Returns the position in `visible`.
 */
export function compare(blocks, requested, visible) {
  const after = (id) => {
    const at = visible.findIndex((event) => compareIds(event.id, id) > 0);
    return at < 0 ? visible.length : at;
  };
  let next = requested ? after(requested) : null;
  let gaps = 0;
  for (const block of blocks) {
    if (block.event === 'gap') {
      const { oldest, newest } = JSON.parse(block.data);
      ++gaps;
      assert.ok(oldest, 'something is always kept here');
      assert.ok(compareIds(oldest, newest) <= 0);
      const at = visible.findIndex((event) => compareIds(event.id, oldest) >= 0);
      assert.ok(next === null || at >= next || at < 0, `a gap goes back from ${visible[next]?.id} to ${oldest}`);
      next = at < 0 ? visible.length : at;
      continue;
    }
    if (block.event === 'heartbeat') {
      if (block.id === undefined) continue;
      if (next === null) next = after(block.id);
      assert.ok(!visible[next] || compareIds(visible[next].id, block.id) > 0, `a heartbeat ${block.id} skips ${visible[next]?.id}`);
      continue;
    }
    if (block.event === 'closing' || block.data === undefined) continue;
    assert.ok(next !== null, 'an event before any position');
    const expected = visible[next];
    assert.equal(block.id, expected?.id, 'each event once and in order');
    assert.equal(block.event, expected.event);
    assert.ok(block.data === expected.data, `the data of ${block.id}: ${block.data.length} characters instead of ${expected.data.length}, or others`);
    ++next;
  }
  return { next: next ?? visible.length, gaps };
}

// --------------------------------------------------------------------------------------------- readers
/** Reads until it is told to finish, over as many connections as it likes. `parts` has what each of them read. */
export class Reader {
  /** `endsSlow`: the server ends streams that are too far behind. Otherwise it ends none. */
  constructor({ server, authority, version, topics, roll, endsSlow }) {
    Object.assign(this, { server, authority, version, topics, roll, endsSlow });
    this.parts = [];
  }

  get path() {
    return `/events?${this.topics.map((topic) => `topic=${topic}`).join('&')}`;
  }

  async connect() {
    const headers = this.cursor ? { 'Last-Event-ID': this.cursor } : {};
    this.stream = await this.open(headers);
    this.parts.push({ requested: this.cursor, blocks: this.stream.blocks });
  }

  open(headers) {
    const line = { step: this.roll() < 0.3 ? 1 + Math.floor(this.roll() * 3000) : 65536 };
    return openTlsStream(this.server, { authority: this.authority, version: this.version, line }, { path: this.path, headers });
  }

  /** Where it would resume: the last ID, of whatever block. */
  get cursor() {
    for (let i = this.parts.length - 1; i >= 0; --i) {
      const last = this.parts[i].blocks.findLast((block) => block.id !== undefined);
      if (last) return last.id;
      if (this.parts[i].requested) return this.parts[i].requested;
    }
    return undefined;
  }

  /** Whether the connection is gone; what was told is kept. */
  get gone() {
    const { connection } = this.stream;
    return connection.closed || connection.ended;
  }

  async leave() {
    const { connection } = this.stream;
    const how = this.roll();
    if (how < 0.3) connection.reset();
    else if (how < 0.6) connection.socket.end();
    else connection.close();
    if (how >= 0.3 && how < 0.6) await this.stream.until(() => this.gone || connection.line.isOver, 'the answer to close_notify');
    connection.close();
  }

  /** One awkward thing. */
  async misbehave() {
    const { line } = this.stream.connection;
    const what = this.roll();
    if (what < 0.35) {
      line.stopInNextRecord(1 + Math.floor(this.roll() * 40));
      await sleep(Math.floor(this.roll() * 250));
      line.go();
    } else if (what < 0.55) {
      const { step } = line;
      line.step = 1;
      line.go(Math.floor(this.roll() * 4000));
      await sleep(20);
      line.step = step;
      line.go();
    } else if (what < 0.8) {
      for (let i = 0; i < 20; ++i) {
        line.go(Math.floor(this.roll() * 5000));
        await sleep(2);
      }
      line.go();
    } else {
      await this.leave();
      await sleep(Math.floor(this.roll() * 100));
      await this.connect();
    }
  }

  async run() {
    await this.connect();
    while (!this.finishing) {
      await this.misbehave();
      await this.comeBackIfEnded();
      await sleep(Math.floor(this.roll() * 30));
    }
  }

  async comeBackIfEnded() {
    if (!this.gone) return;
    assert.equal(this.stream.failure, null, this.stream.failure?.message);
    this.assertEndedBySlowness();
    this.stream.connection.close();
    await this.connect();
  }

  assertEndedBySlowness() {
    assert.equal(this.stream.connection.error, undefined, 'what TLS says');
    assert.ok(this.endsSlow, 'nobody is ended');
  }

  /** Reads all that there is, to the last event. */
  async finish(lastId) {
    this.finishing = true;
    await this.running;
    this.goOn();
    const isThere = () => this.parts.at(-1).blocks.some((block) => block.id !== undefined && compareIds(block.id, lastId) >= 0);
    for (let tries = 0; !isThere(); ++tries) {
      if (this.gone) await this.comeBackIfEnded();
      if (this.stream.failure) throw this.stream.failure;
      assert.ok(tries < 4000, `the last event, in vain: ${JSON.stringify(this.stream.blocks.at(-1)).slice(0, 200)}`);
      await sleep(5);
    }
    this.stream.close();
  }

  goOn() {
    this.stream.connection.line.go();
  }

  /** Compares everything; the number of gaps. */
  check(published) {
    const visible = published.visibleTo(this.topics);
    let gaps = 0;
    let next = 0;
    for (const part of this.parts) {
      const result = compare(part.blocks, part.requested, visible);
      gaps += result.gaps;
      next = result.next;
    }
    assert.equal(next, visible.length, 'to the last event');
    return gaps;
  }
}

/** Stops in the middle of a record, and goes on only when all is published. */
export class StuckReader extends Reader {
  async run() {
    await this.connect();
    await sleep(200);
    this.stream.connection.line.stopInNextRecord(7);
    while (!this.finishing) await sleep(20);
  }
}

/** Takes a few bytes now and then, so that it is always far behind. */
export class DrippingReader extends Reader {
  async run() {
    await this.connect();
    const { line } = this.stream.connection;
    while (!this.finishing && !this.gone) {
      line.go(1 + Math.floor(this.roll() * 20_000));
      await sleep(5);
    }
  }
}

/** `openssl s_client` behind pipes that are not always read. */
export class SClientReader extends Reader {
  open(headers) {
    const flag = this.version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
    this.program?.child.kill('SIGKILL');
    const program = sClient(this.server.tlsPort, ['-quiet', flag, '-CAfile', this.authority.file, '-verify_return_error'], { encoding: null });
    this.program = program;
    const connect = () => {
      const pipes = Duplex.from({ readable: program.child.stdout, writable: program.child.stdin });
      setImmediate(() => pipes.emit('ready'));
      return Connection.over(pipes, 'ready');
    };
    return Stream.open(this.server, { path: this.path, headers, connect });
  }

  assertEndedBySlowness() {
    assert.ok(this.endsSlow, 'nobody is ended');
    // A cut, which s_client tells from an end, is what somebody far behind may get.
    assert.doesNotMatch(this.program.err.replace(/^.*unexpected eof.*$/m, ''), /error/i);
  }

  async leave() {
    this.program.child.kill('SIGKILL');
    await this.program.exited;
  }

  async misbehave() {
    if (this.roll() < 0.8) {
      this.stream.pause();
      await sleep(Math.floor(this.roll() * 400));
      this.stream.resume();
      return;
    }
    await this.leave();
    await this.connect();
  }

  goOn() {
    this.stream.resume();
  }
}
