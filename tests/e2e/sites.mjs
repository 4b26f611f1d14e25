// Several sites for one browser: under any names and ports, with TLS or without, all on 127.0.0.1.
//
//   https://app.example.com   ──► the page server: an empty page with front.mjs, whatever is asked for
//   https://push.example.com  ──► a door ──► the server under test, by TCP as it comes; TLS ends in the door
//   anything else             ──► no such name
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = {
  '/front.mjs': 'front.mjs',
  '/eventsource.js': 'node_modules/eventsource/dist/index.js',
  '/eventsource-parser.js': 'node_modules/eventsource-parser/dist/index.js',
};
const page = (policy) => `<!doctype html><meta charset="utf-8"><title>front end</title><link rel="icon" href="data:,">
${policy}<script type="importmap">{"imports": {"eventsource": "/eventsource.js", "eventsource-parser": "/eventsource-parser.js"}}</script>
<script type="module" src="/front.mjs"></script>`;

function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://page');
  const file = modules[pathname];
  response.setHeader('Content-Type', file ? 'text/javascript' : 'text/html');
  const referrer = searchParams.get('referrer');
  response.end(file ? fs.readFileSync(path.join(here, file)) : page(referrer ? `<meta name="referrer" content="${referrer}">` : ''));
}

async function listen(server) {
  server.on('error', () => {});
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

export class Sites {
  /**
   * `pages` and `servers` are patterns of `host:port`; a port that ends in 443 is TLS. Give `arguments` to the browser,
   * and have it ignore errors of certificates.
   */
  static async start({ pages, servers }) {
    const sites = new Sites();
    sites.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-sites-'));
    sites.certificate = path.join(sites.folder, 'push.pem');
    sites.key = path.join(sites.folder, 'push.key');
    execFileSync('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=push.example.com'],
      ...['-keyout', sites.key, '-out', sites.certificate],
    ], { stdio: 'pipe' });
    const credentials = { key: fs.readFileSync(sites.key), cert: fs.readFileSync(sites.certificate) };

    sites.sockets = new Set();
    sites.heads = []; // of requests that went through a door in the clear
    const through = (target) => (client) => {
      const upstream = net.connect(target(), '127.0.0.1');
      client.on('data', (part) => {
        // A browser sends a head at once, and the body perhaps with it.
        const [head] = part.toString('latin1').split('\r\n\r\n', 1);
        if (/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) sites.heads.push(head);
      });
      for (const [from, to] of [[client, upstream], [upstream, client]]) {
        sites.sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          sites.sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    };
    // The browser is started with names for fixed ports, so what is behind them changes here.
    const plain = net.createServer(through(() => sites.plainPort));
    const ending = tls.createServer(credentials, through(() => sites.plainPort));
    const endingPort = await listen(ending);
    const secure = net.createServer(through(() => sites.securePort ?? endingPort));
    const pageServers = [http.createServer(answer), https.createServer(credentials, answer)];
    sites.listening = [plain, ending, secure, ...pageServers];
    const ports = { page: [await listen(pageServers[0]), await listen(pageServers[1])], server: [await listen(plain), await listen(secure)] };

    const rules = [...servers.map((name) => [name, ports.server]), ...pages.map((name) => [name, ports.page])].map(
      ([name, [http, https]]) => `MAP ${name} 127.0.0.1:${name.endsWith('443') ? https : http}`,
    );
    sites.arguments = [`--host-resolver-rules=${[...rules, 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'].join(',')}`];
    return sites;
  }

  /** What went through a door in the clear since `heads` was emptied: `GET /events`. */
  get requests() {
    return this.heads.map((head) => head.split(' HTTP/', 1)[0]);
  }

  /** From now on `port` answers under the names of servers; the door ends TLS, unless `securePort` does. */
  use(port, securePort = null) {
    this.plainPort = port;
    this.securePort = securePort;
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.listening) {
      server.closeAllConnections?.();
      server.close();
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
