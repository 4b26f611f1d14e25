// A TCP proxy that loses connections the way networks do.
import net from 'node:net';

import { sleep } from './harness.mjs';

export class CuttingProxy {
  static async start(targetPort) {
    const proxy = new CuttingProxy();
    proxy.lines = new Set();
    proxy.acceptedAt = [];
    proxy.refusing = false;
    proxy.cutAfterBytes = null; // () => bytes, asked for each connection
    proxy.requests = [];
    proxy.server = net.createServer((client) => {
      if (proxy.refusing) {
        client.resetAndDestroy();
        return;
      }
      proxy.acceptedAt.push(performance.now());
      const upstream = net.connect(targetPort, '127.0.0.1');
      const line = { client, upstream };
      proxy.lines.add(line);
      let left = proxy.cutAfterBytes?.() ?? Infinity;
      let request = '';
      client.on('data', (part) => {
        request += part.toString('latin1');
        if (request.includes('\r\n\r\n')) {
          proxy.requests.push(request);
          request = '';
        }
        upstream.write(part);
      });
      upstream.on('data', (part) => {
        const kept = part.subarray(0, Math.max(0, Math.min(part.length, left)));
        left -= part.length;
        client.write(kept);
        if (left <= 0) proxy.cutLine(line);
      });
      const end = () => {
        proxy.lines.delete(line);
        client.destroy();
        upstream.destroy();
      };
      for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    });
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    proxy.port = proxy.server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  /** What was written still arrives, then the connection is gone for both sides. */
  cutLine(line) {
    this.lines.delete(line);
    line.client.end(() => line.client.destroy());
    line.upstream.destroy();
  }

  cut() {
    for (const line of [...this.lines]) this.cutLine(line);
  }

  /** Cuts and lets nobody in for a while. */
  async outage(ms) {
    this.refusing = true;
    this.cut();
    await sleep(ms);
    this.refusing = false;
  }

  /** The value of a header of the newest request. */
  lastHeader(name) {
    const pattern = new RegExp(`^${name}: *(.*?)\r$`, 'im');
    return pattern.exec(this.requests.at(-1) ?? '')?.[1];
  }

  async stop() {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
