// Certificates of the test's own, servers that speak TLS with them, and clients that look closely.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { patience, request, Server, until } from './harness.mjs';
import { HandWriter, kind, Line } from './tls_records.mjs';
import { Connection, Stream } from './wire.mjs';

const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });

// ------------------------------------------------------------------------------------ certificates
const keyKinds = {
  ecdsa: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
  ed25519: ['-newkey', 'ed25519'],
};
const alternativeNames = (names) => names.map((name) => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');

/** An authority in a temporary folder, whose certificates none but the clients here trust. */
export class Authority {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-tls-'));
    this.file = this.at('ca.pem');
    this.keyFile = this.at('ca.key');
    openssl(
      ...['req', '-x509', ...keyKinds.ecdsa, '-nodes', '-days', '30', '-subj', '/O=Ringcast tests/CN=test authority'],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', this.keyFile, '-out', this.file],
    );
    this.certificate = fs.readFileSync(this.file);
  }

  at(name) {
    return path.join(this.folder, name);
  }

  /** {certificate, key, pem, serial}: files for these names. With `days` below 0 it has expired. */
  issue(file, names = ['localhost', '127.0.0.1'], { kind = 'ecdsa', days = 30, extensions: more = '' } = {}) {
    const pair = { certificate: this.at(`${file}.pem`), key: this.at(`${file}.key`), kind, names };
    const asked = this.at(`${file}.csr`);
    const extensions = this.at(`${file}.ext`);
    fs.writeFileSync(
      extensions,
      `subjectAltName=${alternativeNames(names)}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n` +
        `authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n${more}`,
    );
    openssl('req', '-new', ...keyKinds[kind], '-nodes', '-subj', `/CN=${names[0]}`, '-keyout', pair.key, '-out', asked);
    openssl(
      ...['x509', '-req', '-in', asked, '-CA', this.file, '-CAkey', this.keyFile, '-days', String(days), '-extfile', extensions],
      ...['-out', pair.certificate],
    );
    fs.chmodSync(pair.key, 0o600);
    return Object.assign(pair, describeFile(pair.certificate));
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

function describeFile(file) {
  const serial = String(openssl('x509', '-in', file, '-noout', '-serial')).trim().split('=')[1];
  return { pem: fs.readFileSync(file, 'utf8'), serial };
}

/** What `--ignore-certificate-errors-spki-list` of Chromium takes. */
export function spkiHash({ certificate }) {
  const key = openssl('x509', '-in', certificate, '-noout', '-pubkey');
  const der = execFileSync('openssl', ['pkey', '-pubin', '-outform', 'DER'], { input: key });
  return execFileSync('openssl', ['dgst', '-sha256', '-binary'], { input: der }).toString('base64');
}

// ------------------------------------------------------------------------------------------ servers
/** The keys of `[tls]` for these pairs. */
export const certificatesOf = (pairs) => ({
  certificate: pairs.map((pair) => pair.certificate),
  private_key: pairs.map((pair) => pair.key),
});

/** A server with HTTPS on a free port beside plain HTTP; `options.config.tls` goes over what is usual. */
export function startTls(pairs, options = {}) {
  const config = {
    ...options.config,
    tls: { listen: ['127.0.0.1:0'], ...certificatesOf(pairs), ...options.config?.tls },
  };
  return Server.start({ ...options, config });
}

/** ringcast_tls_failed_total by reason. */
export async function failures(server) {
  const { text } = await request(`${server.adminUrl}/metrics`);
  const counts = {};
  for (const [, reason, value] of text.matchAll(/^ringcast_tls_failed_total\{[^}]*reason="([^"]+)"[^}]*\} (\d+)$/gm)) {
    counts[reason] = (counts[reason] ?? 0) + Number(value);
  }
  return counts;
}

// ------------------------------------------------------------------------------------------ clients
/** What streams are under: the server's option, and the version that the client asks for. */
export const layers = {
  'own record layer': { record_layer: 'own', version: 'TLSv1.3', gauge: 'ringcast_streams_tls' },
  'OpenSSL under TLS 1.3': { record_layer: 'openssl', version: 'TLSv1.3', gauge: 'ringcast_streams_tls_openssl' },
  'OpenSSL under TLS 1.2': { record_layer: 'own', version: 'TLSv1.2', gauge: 'ringcast_streams_tls_openssl' },
};

/**
 * A client of Node over a `Line`, which is in `.line`. The server's end without close_notify is no end here:
 * `ended` stays false, and `closed` comes with `cut`.
 */
export async function openTls(port, { authority, version, line: lineOptions, onLine, ...options } = {}) {
  const line = await Line.open(port, lineOptions);
  onLine?.(line);
  const socket = tls.connect({
    socket: line,
    servername: 'localhost',
    ca: authority?.certificate,
    ...(version && { minVersion: version, maxVersion: version }),
    ...options,
  });
  let connection;
  let clientSecret;
  socket.on('keylog', (text) => {
    const match = /^CLIENT_TRAFFIC_SECRET_0 \S+ ([0-9a-f]+)/.exec(text.toString());
    if (match) clientSecret = Buffer.from(match[1], 'hex');
  });
  line.once('cut', () => {
    if (connection) connection.cut = !connection.ended;
    socket.destroy(connection ? undefined : new Error('cut within the handshake'));
  });
  try {
    connection = await Connection.over(socket, 'secureConnect');
  } catch (error) {
    line.destroy();
    throw error;
  }
  return Object.assign(connection, {
    line,
    cut: false,
    reset: () => line.reset(),
    /** From now on the test writes the client's records, and its library only reads. TLS 1.3. */
    takeOver() {
      assert.ok(clientSecret, 'the client has its secret');
      line.muted = true;
      // The first of its protected records is its Finished, under another key.
      const number = line.sentTypes.filter((type) => type === kind.data).length - 1;
      return new HandWriter(socket.getCipher().standardName, clientSecret, number);
    },
  });
}

/** An event stream over TLS. `target` has the port: a server, or a proxy in front of one. */
export const openTlsStream = (target, tlsOptions, options = {}) =>
  Stream.open(target, { ...options, connect: () => openTls(target.tlsPort, tlsOptions) });

/** The stream ended as a server ends one that it means to end: the last chunk, then close_notify, then the connection. */
export async function assertEndedWell(stream, timeoutMs = 5000) {
  const { connection } = stream;
  await stream.until(() => connection.ended || connection.closed, 'the end of the stream', timeoutMs);
  assert.equal(connection.error, undefined, `not an error: ${connection.error}`);
  assert.ok(connection.ended, 'cut without close_notify');
  assert.ok(stream.gracefullyEnded, 'the last chunk');
  await stream.until(() => connection.line.finished, 'the connection ends after close_notify', timeoutMs);
}

// ------------------------------------------------------------------------------------ openssl s_client
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** Any program: `out`, `err`, and what it is told on its input. */
export class Program {
  constructor(command, args, { encoding = 'utf8', env } = {}) {
    this.child = spawn(command, args, { stdio: 'pipe', env });
    children.add(this.child);
    this.out = '';
    this.err = '';
    this.child.stdin.on('error', () => {});
    if (encoding) this.child.stdout.setEncoding(encoding).on('data', (text) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.err += text));
    this.exited = new Promise((resolve) => this.child.on('close', (code) => {
      children.delete(this.child);
      this.code = code;
      resolve(code);
    }));
  }

  say(text) {
    this.child.stdin.write(text);
    return this;
  }

  waitFor(pattern, timeoutMs) {
    return until(
      () => pattern.exec(this.out + this.err),
      () => `${pattern} in ${JSON.stringify((this.out + this.err).slice(-2000))}`,
      timeoutMs,
    );
  }

  /** Waits until it has ended by itself. */
  async end(timeoutMs = 10_000) {
    await until(() => this.code !== undefined, () => `the program ends: ${this.out} ${this.err}`, timeoutMs);
    return this;
  }

  async stop() {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** `openssl s_client` at this port. */
export const sClient = (port, args = [], options = {}) =>
  new Program('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], options);

/** A request that s_client writes and whose answer ends the connection: what it printed, once it has ended. */
export async function askWithSClient(port, args = [], target = '/nowhere') {
  const client = sClient(port, [...args, '-ign_eof']);
  client.say(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  await client.end(10_000 * patience);
  return client;
}
