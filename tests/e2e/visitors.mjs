// Clients from several addresses of the loopback network, or behind a proxy: what each is told when it
// asks for a stream.
import assert from 'node:assert/strict';

import { errorOf, until } from './harness.mjs';
import { ChunkReader, Connection, parseHead, StrictEventReader } from './wire.mjs';

export const browser = { Accept: 'text/event-stream' };
export const program = { Accept: '*/*' };

/** One visit: whether it became a stream, and what was said. */
export class Visit {
  /**
   * Asks for a stream and waits for the first event, or for the whole refusal. `from` is the address
   * to connect from, `to` where the server listens.
   */
  static async open(server, { headers = browser, path = '/events', from, to = '127.0.0.1', port = server.port } = {}) {
    const visit = new Visit();
    const local = from ? { localAddress: from } : {};
    visit.connection = await Connection.open(port, { host: to, ...local });
    visit.blocks = [];
    const events = new StrictEventReader((block) => visit.blocks.push(block));
    visit.chunks = new ChunkReader((part) => events.feed(part));
    const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost'];
    for (const [name, value] of Object.entries(headers)) {
      for (const each of [value].flat()) lines.push(`${name}: ${each}`);
    }
    visit.connection.write(`${lines.join('\r\n')}\r\n\r\n`);
    await visit.connection.waitFor(/\r\n\r\n/);
    const end = visit.connection.bytes.indexOf('\r\n\r\n') + 4;
    Object.assign(visit, parseHead(visit.connection.bytes.subarray(0, end)));
    visit.fed = end;
    if (visit.status === 200) {
      await until(() => visit.read().some((block) => ['heartbeat', 'refused'].includes(block.event)), 'the first event');
    } else {
      const length = Number(visit.headers['content-length']);
      await until(() => visit.connection.bytes.length >= end + length, 'the whole answer');
      visit.text = visit.connection.bytes.subarray(end, end + length).toString();
    }
    return visit;
  }

  read() {
    this.chunks.feed(this.connection.bytes.subarray(this.fed));
    this.fed = this.connection.bytes.length;
    return this.blocks;
  }

  get isStream() {
    return this.status === 200 && this.blocks[0].event === 'heartbeat';
  }

  waitFor(fits, what = 'a certain event', timeoutMs = 5000) {
    return until(() => this.read().find(fits), what, timeoutMs);
  }

  /** A status that a program can use. */
  assertStatus(status) {
    assert.equal(this.status, status, this.text ?? JSON.stringify(this.blocks));
    assert.match(this.headers['retry-after'] ?? '', /^[1-9]\d*$/);
    assert.match(this.headers['x-request-id'] ?? '', /^[0-9a-f]{16}$/);
    return errorOf(this);
  }

  /** An answer that a browser's EventSource comes back from. */
  async assertSafe() {
    assert.equal(this.status, 200);
    assert.match(this.headers['content-type'], /^text\/event-stream/);
    await this.connection.waitForClose();
    this.read();
    assert.equal(this.blocks.filter((block) => block.data !== undefined).length, 1, 'the only event');
    const block = this.blocks.find((one) => one.event === 'refused');
    assert.equal(block.id, undefined);
    assert.ok(this.blocks.some((one) => one.retry > 0), 'when to come back');
    assert.ok(this.chunks.done, 'the end');
    return JSON.parse(block.data).reason;
  }

  close() {
    this.connection.close();
  }
}

/** Opens visits and closes what is left of them. */
export class Visits {
  constructor(server) {
    this.server = server;
    this.all = [];
  }

  async open(options) {
    const visit = await Visit.open(this.server, options);
    this.all.push(visit);
    return visit;
  }

  /** So many at once. */
  many(count, options) {
    return Promise.all(Array.from({ length: count }, () => this.open(options)));
  }

  /** Tries until a stream is open. */
  openInTheEnd(options, what) {
    return until(
      async () => {
        const visit = await this.open(options);
        if (visit.isStream) return visit;
        visit.close();
        return false;
      },
      what,
    );
  }

  closeAll() {
    this.all.forEach((visit) => visit.close());
  }
}

export const open = (visits) => visits.filter((visit) => visit.isStream);
export const refused = (visits) => visits.filter((visit) => !visit.isStream);
