// TLS below what a client's library shows: bytes and records on the way, and records sealed by hand.
import crypto from 'node:crypto';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

export const kind = { changeCipherSpec: 20, alert: 21, handshake: 22, data: 23 };
export const alerts = {
  closeNotify: 0, unexpectedMessage: 10, badRecordMac: 20, recordOverflow: 22, handshakeFailure: 40, decodeError: 50, userCanceled: 90,
};

/** A record in the clear, or with any body. */
export function record(type, body, { version = 0x0303, length = body.length } = {}) {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from([type, version >> 8, version & 255, length >> 8, length & 255]), bytes]);
}

/** Cuts a flow of bytes into records. */
export class Records {
  constructor() {
    this.rest = Buffer.alloc(0);
  }

  /** The whole records that end in `bytes`. */
  take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    const whole = [];
    for (;;) {
      if (this.rest.length < 5) return whole;
      const size = 5 + this.rest.readUInt16BE(3);
      if (this.rest.length < size) return whole;
      whole.push(this.rest.subarray(0, size));
      this.rest = this.rest.subarray(size);
    }
  }
}

/**
 * A TCP connection that a TLS client is put upon. It reads in steps of any size, stops anywhere in a record, and what
 * the client sends can be changed record by record.
 *
 *   server ◄── TCP ──► Line ◄──► tls.connect({socket: line})
 *
 * The end of TCP is not passed on: it emits `cut` a moment later, so that a client sees the difference
 * between close_notify and a cut.
 */
export class Line extends Duplex {
  static async open(port, options = {}) {
    const line = new Line(options);
    await new Promise((resolve, reject) => {
      line.tcp = net.connect({
        port,
        host: '127.0.0.1',
        noDelay: true,
        allowHalfOpen: true,
        onread: { buffer: () => Buffer.allocUnsafe(line.nextRead()), callback: (size, buffer) => line.arrived(buffer.subarray(0, size)) },
        ...options.tcp,
      });
      line.tcp.once('connect', resolve);
      line.tcp.once('error', reject);
    });
    line.tcp.on('error', () => {});
    line.tcp.on('end', () => line.over());
    line.tcp.on('close', () => line.over());
    return line;
  }

  constructor({ step = 65536, budget = Infinity, outgoing } = {}) {
    super({ allowHalfOpen: true, emitClose: true });
    /** Bytes of one read. */
    this.step = step;
    /** Bytes until it stops by itself. */
    this.budget = budget;
    /** (record, number) → what is sent instead: a list of buffers. */
    this.outgoing = outgoing ?? null;
    /** Nothing that the client writes is sent any more. */
    this.muted = false;
    this.held = []; // arrived while stopped
    this.inRecord = { header: Buffer.alloc(0), left: 0 };
    this.incoming = []; // [type, length] of each record that began
    this.sentTypes = []; // of each record that the client wrote
    this.sentRecords = new Records();
    this.finished = false;
    this.bytesRead = 0;
  }

  nextRead() {
    return Math.max(1, Math.min(this.step, this.budget));
  }

  arrived(bytes) {
    const copy = Buffer.from(bytes);
    if (this.budget <= 0) this.held.push(copy);
    else this.pass(copy);
    return this.budget > 0 && this.held.length === 0;
  }

  /** Gives the client as much as the budget allows, and keeps the rest. */
  pass(bytes) {
    const now = bytes.subarray(0, Math.min(bytes.length, this.budget));
    if (now.length < bytes.length) this.held.unshift(bytes.subarray(now.length));
    this.budget -= now.length;
    this.bytesRead += now.length;
    this.follow(now);
    if (!this.destroyed) this.push(now);
  }

  /** Knows where in a record the client is. */
  follow(bytes) {
    const at = this.inRecord;
    for (let i = 0; i < bytes.length; ) {
      if (at.left > 0) {
        const part = Math.min(at.left, bytes.length - i);
        at.left -= part;
        i += part;
        continue;
      }
      const part = Math.min(5 - at.header.length, bytes.length - i);
      at.header = Buffer.concat([at.header, bytes.subarray(i, i + part)]);
      i += part;
      if (at.header.length < 5) continue;
      at.left = at.header.readUInt16BE(3);
      this.incoming.push([at.header[0], at.left]);
      at.header = Buffer.alloc(0);
    }
  }

  /** Reads no more, at once. */
  stop() {
    this.budget = 0;
    this.tcp.pause();
  }

  /** Goes on for so many bytes. */
  go(bytes = Infinity) {
    this.budget = bytes;
    while (this.held.length > 0 && this.budget > 0) this.pass(this.held.shift());
    if (this.budget > 0) this.tcp.resume();
    else this.tcp.pause();
  }

  /** Stops when so many bytes of the body of the next record have been read: between its header and its end. */
  stopInNextRecord(bytes = 1) {
    const rest = this.inRecord.left > 0 ? this.inRecord.left : (5 - this.inRecord.header.length) % 5;
    this.go(rest + 5 + bytes);
  }

  get isInARecord() {
    return this.inRecord.left > 0 || this.inRecord.header.length > 0;
  }

  over() {
    if (this.isOver) return;
    this.isOver = true;
    const check = () => {
      // What had arrived before may still be on its way through the client.
      if (this.held.length > 0) return setTimeout(check, 20);
      this.finished = true;
      setTimeout(() => this.emit('cut'), 10);
    };
    setImmediate(check);
  }

  /** Sends these bytes beneath the client. */
  inject(bytes) {
    if (!this.tcp.destroyed) this.tcp.write(bytes);
    return this;
  }

  reset() {
    this.tcp.resetAndDestroy();
  }

  /** A FIN without close_notify. */
  halfClose() {
    this.tcp.end();
  }

  _read() {}

  _write(chunk, _encoding, done) {
    if (this.muted || this.tcp.destroyed) return done();
    const records = this.sentRecords.take(chunk);
    const parts = [];
    for (const each of records) {
      const number = this.sentTypes.push(each[0]) - 1;
      parts.push(...(this.outgoing ? this.outgoing(each, number) : [each]));
    }
    if (parts.length === 0) return done();
    return this.tcp.write(Buffer.concat(parts), () => done());
  }

  _final(done) {
    if (!this.muted && !this.tcp.destroyed) this.tcp.end();
    done();
  }

  _destroy(error, done) {
    this.tcp?.destroy();
    done(error);
  }
}

// ----------------------------------------------------------------------------------- the client's hello
/** The record with the hello that Node would send. */
export function clientHello(options = {}) {
  return new Promise((resolve) => {
    const line = new Line();
    line._write = (chunk, _encoding, done) => {
      resolve(Buffer.from(chunk));
      done();
      line.destroy();
    };
    tls.connect({ socket: line, servername: 'localhost', ...options }).on('error', () => {});
  });
}

/** The same hello with an extension of padding (RFC 7685) of so many bytes, in records of at most 16 KB. */
export function paddedHello(hello, padding) {
  const message = hello.subarray(5);
  let at = 4 + 2 + 32;
  at += 1 + message[at];
  at += 2 + message.readUInt16BE(at);
  at += 1 + message[at];
  const extensions = message.subarray(at + 2);
  const size = Buffer.alloc(6);
  size.writeUInt16BE(extensions.length + 4 + padding, 0);
  size.writeUInt16BE(21, 2);
  size.writeUInt16BE(padding, 4);
  const body = Buffer.concat([message.subarray(4, at), size.subarray(0, 2), extensions, size.subarray(2), Buffer.alloc(padding)]);
  const whole = Buffer.concat([Buffer.from([1, body.length >> 16, (body.length >> 8) & 255, body.length & 255]), body]);
  const records = [];
  for (let i = 0; i < whole.length; i += 16384) records.push(record(kind.handshake, whole.subarray(i, i + 16384), { version: 0x0301 }));
  return Buffer.concat(records);
}

// ---------------------------------------------------------------------------------- sealing by hand
const suites = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', hash: 'sha256', key: 16 },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', hash: 'sha384', key: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', hash: 'sha256', key: 32 },
};

/** RFC 8446, 7.1, without a context; no more than one hash. */
function expandLabel(hash, secret, label, size) {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([size >> 8, size & 255, name.length]), name, Buffer.from([0, 1])]);
  return crypto.createHmac(hash, secret).update(info).digest().subarray(0, size);
}

/** Writes the client's records from where its library stops. RFC 8446, 5. */
export class HandWriter {
  constructor(suite, secret, number) {
    Object.assign(this, suites[suite]);
    this.number = number;
    this.take(secret);
  }

  take(secret) {
    this.secret = secret;
    this.writeKey = expandLabel(this.hash, secret, 'key', this.key);
    this.iv = expandLabel(this.hash, secret, 'iv', 12);
  }

  /** `bytes` are the content with its type and padding behind, as they are encrypted. */
  sealRaw(bytes, { type = kind.data, version = 0x0303, number = this.number++ } = {}) {
    const nonce = Buffer.from(this.iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ BigInt(number), 4);
    const size = bytes.length + 16;
    const header = Buffer.from([type, version >> 8, version & 255, size >> 8, size & 255]);
    const cipher = crypto.createCipheriv(this.cipher, this.writeKey, nonce, { authTagLength: 16 });
    cipher.setAAD(header, { plaintextLength: bytes.length });
    return Buffer.concat([header, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }

  seal(type, content, { padding = 0, ...options } = {}) {
    return this.sealRaw(Buffer.concat([Buffer.from(content), Buffer.from([type]), Buffer.alloc(padding)]), options);
  }

  alert(description, level = description === alerts.closeNotify ? 1 : 2) {
    return this.seal(kind.alert, [level, description]);
  }

  /** The record, after which the next key is taken. */
  keyUpdate(requested = false) {
    const sealed = this.seal(kind.handshake, [24, 0, 0, 1, requested ? 1 : 0]);
    this.take(expandLabel(this.hash, this.secret, 'traffic upd', this.secret.length));
    this.number = 0;
    return sealed;
  }
}
