// A raw HTTP client and a strict reader of event streams: anything that a lenient client would forgive
// is an error here.
import assert from 'node:assert/strict';
import net from 'node:net';

import { patience, sleep, until } from './harness.mjs';

/** One TCP connection. Keeps every byte that arrives. */
export class Connection {
  static open(port, options = {}) {
    return Connection.over(net.connect({ port, host: '127.0.0.1', noDelay: true, ...options }), 'connect');
  }

  /** Over any stream of bytes that can be used from this event of it on. */
  static async over(socket, ready) {
    const connection = new Connection();
    connection.socket = socket;
    connection.received = Buffer.alloc(0);
    connection.ended = false;   // the server's FIN
    connection.closed = false;  // nothing comes any more, for whatever reason
    connection.parts = [];
    connection.onBytes = null;
    connection.socket.on('data', (part) => {
      connection.parts.push(part);
      connection.onBytes?.(part);
    });
    connection.socket.on('end', () => (connection.ended = true));
    connection.socket.on('close', () => (connection.closed = true));
    connection.socket.on('error', (error) => (connection.error = error));
    await new Promise((resolve, reject) => {
      connection.socket.once(ready, resolve);
      connection.socket.once('error', reject);
    });
    return connection;
  }

  get bytes() {
    if (this.parts.length > 0) this.received = Buffer.concat([this.received, ...this.parts.splice(0)]);
    return this.received;
  }

  get text() {
    return this.bytes.toString('latin1');
  }

  write(bytes) {
    if (!this.socket.destroyed) this.socket.write(bytes);
    return this;
  }

  /** Ends with a reset instead of a FIN. */
  reset() {
    this.socket.resetAndDestroy();
  }

  close() {
    this.socket.destroy();
  }

  waitFor(pattern, timeoutMs = 5000) {
    return until(
      () => pattern.exec(this.text),
      () => `${pattern} in ${JSON.stringify(this.text.slice(0, 500))}`,
      timeoutMs,
    );
  }

  waitForClose(timeoutMs = 5000) {
    return until(
      () => this.closed || this.ended,
      () => `the server closes; got ${JSON.stringify(this.text.slice(0, 500))}`,
      timeoutMs,
    );
  }

  /** Waits for a whole answer with a body of known length, takes it and returns it. */
  async answer(timeoutMs = 5000) {
    return until(
      () => {
        const end = this.bytes.indexOf('\r\n\r\n');
        if (end < 0) {
          assert.ok(!this.closed, `closed before an answer: ${JSON.stringify(this.text)}`);
          return false;
        }
        const head = parseHead(this.bytes.subarray(0, end + 4));
        if (head.status === 100) {
          this.received = this.bytes.subarray(end + 4);
          return false;
        }
        const length = Number(head.headers['content-length'] ?? 0);
        if (this.bytes.length < end + 4 + length) return false;
        head.text = this.bytes.subarray(end + 4, end + 4 + length).toString('utf8');
        this.received = this.bytes.subarray(end + 4 + length);
        return head;
      },
      'a whole answer',
      timeoutMs,
    );
  }
}

/** Reads a response head: {status, version, headers}. Strict: CRLF, one value for each name. */
export function parseHead(bytes) {
  const text = bytes.toString('latin1');
  assert.ok(text.endsWith('\r\n\r\n'), text);
  const [first, ...lines] = text.slice(0, -4).split('\r\n');
  const match = /^HTTP\/(1\.[01]) (\d{3}) ([\x20-\x7e]*)$/.exec(first);
  assert.ok(match, `status line ${JSON.stringify(first)}`);
  const headers = {};
  for (const line of lines) {
    const field = /^([!#$%&'*+.^_`|~\w-]+): ?([\x20-\x7e\t]*)$/.exec(line);
    assert.ok(field, `header line ${JSON.stringify(line)}`);
    const name = field[1].toLowerCase();
    assert.ok(!(name in headers), `header ${name} comes twice`);
    headers[name] = field[2];
  }
  return { version: match[1], status: Number(match[2]), headers };
}

/** RFC 9112 section 7.1, without extensions and trailers, which this server never sends. */
export class ChunkReader {
  constructor(onData) {
    this.onData = onData;
    this.rest = Buffer.alloc(0);
    this.done = false;
  }

  feed(part) {
    this.rest = Buffer.concat([this.rest, part]);
    while (this.rest.length > 0) {
      if (this.done) assert.fail(`bytes after the last chunk: ${JSON.stringify(this.rest.toString('latin1'))}`);
      const line = this.rest.indexOf('\r\n');
      if (line < 0) {
        assert.ok(this.rest.length < 20, `no chunk size in ${JSON.stringify(this.rest.toString('latin1', 0, 60))}`);
        return;
      }
      const digits = this.rest.toString('latin1', 0, line);
      assert.match(digits, /^[0-9a-fA-F]+$/, 'chunk size');
      const size = parseInt(digits, 16);
      if (this.rest.length < line + 2 + size + 2) return;
      assert.equal(this.rest.toString('latin1', line + 2 + size, line + 4 + size), '\r\n', 'end of a chunk');
      if (size === 0) this.done = true;
      else this.onData(this.rest.subarray(line + 2, line + 2 + size));
      this.rest = this.rest.subarray(line + 2 + size + 2);
    }
  }
}

/** WHATWG HTML section 9.2, for a server that writes LF only, `field: value`, and no comments. */
export class StrictEventReader {
  constructor(onBlock) {
    this.onBlock = onBlock;
    this.rest = Buffer.alloc(0);
  }

  feed(part) {
    this.rest = Buffer.concat([this.rest, part]);
    for (;;) {
      const end = this.rest.indexOf('\n\n');
      if (end < 0) return;
      this.block(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.rest.subarray(0, end)));
      this.rest = this.rest.subarray(end + 2);
    }
  }

  block(text) {
    assert.ok(!text.includes('\r'), `a CR in ${JSON.stringify(text)}`);
    const block = { id: undefined, event: undefined, retry: undefined, data: undefined };
    for (const line of text.split('\n')) {
      const match = /^(id|event|retry|data): ([^]*)$/.exec(line);
      assert.ok(match, `line ${JSON.stringify(line)}`);
      const [, field, value] = match;
      if (field === 'data') {
        block.data = block.data === undefined ? value : `${block.data}\n${value}`;
        continue;
      }
      assert.equal(block[field], undefined, `field ${field} comes twice`);
      block[field] = value;
    }
    if (block.id !== undefined) assert.match(block.id, /^\d+-\d+$/);
    if (block.retry !== undefined) {
      assert.match(block.retry, /^\d+$/);
      block.retry = Number(block.retry);
    }
    // A client ignores a block without data; the server sends such a block only for `retry`.
    if (block.data === undefined) assert.ok(block.retry !== undefined && !block.event && !block.id, text);
    this.onBlock(block);
  }
}

/** A stream, read strictly. `blocks` has everything in order, `events` what a publisher caused. */
export class Stream {
  static async open(target, { path = '/events', headers = {}, version = '1.1', paused = false, connect } = {}) {
    const stream = new Stream();
    stream.blocks = [];
    stream.failure = null;
    stream.connection = await (connect?.() ?? Connection.open(target.port));
    const events = new StrictEventReader((block) => {
      stream.blocks.push({ ...block, at: performance.now() });
    });
    const chunks = new ChunkReader((part) => events.feed(part));
    stream.chunks = chunks;
    stream.eventReader = events;
    stream.connection.onBytes = (part) => {
      try {
        if (stream.head) stream.body(part);
        else stream.tryHead();
      } catch (error) {
        stream.failure ??= error;
      }
    };
    const lines = [`GET ${path} HTTP/${version}`, 'Host: localhost', 'Accept: text/event-stream'];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    if (paused) stream.connection.socket.pause();
    stream.connection.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (!paused) await stream.until(() => stream.head, 'the head of the stream');
    return stream;
  }

  tryHead() {
    const end = this.connection.bytes.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.head = parseHead(this.connection.bytes.subarray(0, end + 4));
    this.body(this.connection.bytes.subarray(end + 4));
  }

  body(part) {
    if (this.head.headers['transfer-encoding'] === 'chunked') this.chunks.feed(part);
    else if (this.head.status === 200) this.eventReader.feed(part);
  }

  async until(probe, what, timeoutMs = 5000) {
    return until(
      () => {
        if (this.failure) throw this.failure;
        return probe();
      },
      () => `${what}; the last of ${this.blocks.length} blocks: ${JSON.stringify(this.blocks.at(-1))?.slice(0, 300)}`,
      timeoutMs,
    );
  }

  get events() {
    return this.blocks.filter((block) => block.data !== undefined && !serverEvents.has(block.event));
  }

  get gracefullyEnded() {
    return this.chunks.done;
  }

  named(name) {
    return this.blocks.filter((block) => block.event === name);
  }

  /** Waits for the first block that fits and returns it. */
  waitFor(fits, what = 'a certain event', timeoutMs = 5000) {
    return this.until(() => this.blocks.find(fits), what, timeoutMs);
  }

  waitForCount(count, timeoutMs = 10_000) {
    return this.until(() => this.events.length >= count, `${count} events`, timeoutMs);
  }

  async waitForEnd(timeoutMs = 5000) {
    await this.until(() => this.connection.closed || this.connection.ended, 'the end of the stream', timeoutMs);
    if (this.failure) throw this.failure;
  }

  pause() {
    this.connection.socket.pause();
  }

  resume() {
    this.connection.socket.resume();
  }

  close() {
    this.connection.close();
    if (this.failure) throw this.failure;
  }
}

const serverEvents = new Set(['heartbeat', 'gap', 'refused', 'closing']);

/** Nothing more may come: waits a while and checks that the count stays. */
export async function assertQuiet(stream, ms = 200) {
  const before = stream.events.length;
  await sleep(ms * patience);
  assert.equal(stream.events.length, before, 'an event too many');
}
