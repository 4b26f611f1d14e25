// A server among clients that break TLS: what it holds and counts, and whether it still serves the others.
import { sleep, until } from './harness.mjs';
import { failures, openTls, openTlsStream, startTls } from './tls.mjs';
import { Connection } from './wire.mjs';

const gauges = [
  'ringcast_connections_open', 'ringcast_tls_handshakes_open', 'ringcast_streams_open', 'ringcast_streams_tls', 'ringcast_streams_tls_openssl',
  'ringcast_streams_blocked', 'ringcast_tail_bytes',
];

/** A server, and a stream that must notice nothing of what others do. */
export class Scene {
  static async open({ authority, pair, tls, ...rest }) {
    const scene = new Scene();
    scene.authority = authority;
    const config = { limits: { header_seconds: 1, body_seconds: 1 }, ...rest.config, tls: { handshake_seconds: 1, ...tls } };
    scene.server = await startTls([pair], { ...rest, config });
    scene.opened = [];
    scene.witness = await openTlsStream(scene.server, { authority });
    await scene.stillServes();
    await scene.settle();
    return scene;
  }

  async gaugesNow() {
    const metrics = await this.server.metrics();
    return gauges.map((name) => `${name} ${metrics.get(name)}`).join('\n');
  }

  async settle() {
    this.opened.splice(0).forEach((connection) => connection.close()); // of a test that failed half-way
    let same = 0;
    await until(async () => {
      const now = await this.gaugesNow();
      same = now === this.baseline ? same + 1 : 0;
      this.baseline = now;
      if (same < 3) await sleep(20);
      return same >= 3 && /handshakes_open 0\n.*streams_open 1\n/.test(now);
    }, () => `quiet before the test ${this.baseline}`);
    this.failed = await failures(this.server);
  }

  /** The one that looks on gets an event, and so does somebody new. */
  async stillServes({ newcomer = true } = {}) {
    this.server.assertRunning();
    const stream = newcomer ? await this.stream() : null;
    const id = await this.server.publish({ data: 'still here' });
    for (const each of [this.witness, ...(stream ? [stream] : [])]) await each.waitFor((block) => block.id === id, 'an event for others');
    stream?.connection.close();
  }

  /** Since `settle`, so many ended for these reasons, and no others. */
  async assertCounted(wanted) {
    const expected = Object.fromEntries(Object.entries(this.failed).map(([reason, count]) => [reason, count + (wanted[reason] ?? 0)]));
    let now;
    await until(async () => {
      now = await failures(this.server);
      return JSON.stringify(now) === JSON.stringify(expected);
    }, () => `${JSON.stringify(expected)}, not ${JSON.stringify(now)}`);
  }

  async assertNothingHeld() {
    this.opened.splice(0).forEach((connection) => connection.close());
    let now;
    await until(async () => (now = await this.gaugesNow()) === this.baseline, () => `back to\n${this.baseline}\nbut it is\n${now}`, 8000);
  }

  async end(wanted) {
    if (wanted) await this.assertCounted(wanted);
    await this.stillServes();
    await this.assertNothingHeld();
    this.server.assertNoSanitizerReport();
  }

  /** TCP alone. */
  async raw(bytes, port = this.server.tlsPort) {
    const connection = await Connection.open(port, { allowHalfOpen: true });
    this.opened.push(connection);
    if (bytes) connection.write(bytes);
    return connection;
  }

  async tls(options) {
    const connection = await openTls(this.server.tlsPort, { authority: this.authority, ...options });
    this.opened.push(connection);
    return connection;
  }

  async stream(options, more) {
    const stream = await openTlsStream(this.server, { authority: this.authority, ...options }, more);
    this.opened.push(stream.connection);
    await stream.waitFor((block) => block.event === 'heartbeat');
    return stream;
  }
}
