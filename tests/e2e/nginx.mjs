// nginx with a configuration of the test's own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { until } from './harness.mjs';

/** A port of 127.0.0.1 that nobody listens on at the moment. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const listens = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

export class Nginx {
  /** Starts it with what `servers` says inside of `http`, and waits until it listens on these ports. */
  static async start(servers, ports) {
    const nginx = new Nginx();
    nginx.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringcast-nginx-'));
    const at = (name) => path.join(nginx.folder, name);
    fs.writeFileSync(
      at('nginx.conf'),
      `${process.getuid() === 0 ? 'user root;' : ''}
      daemon off;
      worker_processes 1;
      pid ${at('pid')};
      error_log stderr warn;
      events { worker_connections 256; }
      http {
        access_log off;
        client_body_temp_path ${at('body')};
        proxy_temp_path ${at('proxy')};
        fastcgi_temp_path ${at('fastcgi')};
        uwsgi_temp_path ${at('uwsgi')};
        scgi_temp_path ${at('scgi')};
        ${servers}
      }`,
    );
    nginx.output = '';
    nginx.child = spawn('/usr/sbin/nginx', ['-e', 'stderr', '-p', nginx.folder, '-c', at('nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    nginx.child.stderr.setEncoding('utf8').on('data', (text) => (nginx.output += text));
    nginx.exited = new Promise((resolve) => nginx.child.on('close', resolve));
    process.on('exit', () => nginx.child.kill('SIGKILL'));
    for (const port of ports) {
      await until(() => {
        assert.equal(nginx.child.exitCode, null, nginx.output);
        return listens(port);
      }, 'nginx listens');
    }
    return nginx;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.exited;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
