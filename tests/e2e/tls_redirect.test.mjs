// Plain listeners that send everybody to HTTPS: whoever reads is moved, what was sent in the clear is refused, and nothing
// that a client writes leads anywhere else.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { errorOf, random, request, until } from './harness.mjs';
import { Authority, openTlsStream, Program, startTls } from './tls.mjs';
import { Connection, Stream } from './wire.mjs';

const authority = new Authority();
const pair = authority.issue('server');
after(() => authority.remove());

const elsewhere = 'https://push.example.com:8443';

describe('redirect to HTTPS', () => {
  let server;
  before(async () => {
    server = await startTls([pair], {
      config: { server: { trusted_proxies: ['127.0.0.2'] }, tls: { redirect_to: elsewhere }, limits: { header_bytes: 8192 } },
    });
  });
  after(() => server.stop());

  async function raw(bytes, options) {
    const connection = await Connection.open(server.port, options);
    connection.write(Buffer.from(bytes, 'latin1'));
    return connection;
  }

  test('WhoeverReadsIsMovedWithPathAndQuery', async () => {
    const before = await server.metric('ringcast_redirects_total');
    const connection = await raw('');
    const targets = ['/', '/login.html', '/events?topic=a&topic=b%20c&last_event_id=1-2', '/nowhere', '/a//b/../c;x=1?y=/?z', '/%e2%82%ac?%'];
    for (const target of targets) {
      for (const method of ['GET', 'HEAD']) {
        connection.write(`${method} ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
        const answer = await until(() => connection.bytes.includes('\r\n\r\n') && connection.text, 'an answer');
        assert.match(answer, /^HTTP\/1\.1 308 /);
        assert.ok(answer.includes(`\r\nLocation: ${elsewhere}${target}\r\n`), answer);
        assert.doesNotMatch(answer, /Connection: close/, 'the connection is kept');
        const length = method === 'HEAD' ? 0 : Number(/Content-Length: (\d+)/i.exec(answer)[1]);
        const whole = answer.indexOf('\r\n\r\n') + 4 + length;
        await until(() => connection.bytes.length >= whole, 'the body');
        assert.equal(connection.bytes.length, whole);
        connection.received = Buffer.alloc(0);
      }
    }
    assert.equal((await server.metric('ringcast_redirects_total')) - before, 2 * targets.length);
    connection.close();
  });

  test('WhatWasSentInTheClearIsRefusedAndTold', async () => {
    const headers = { 'Content-Type': 'application/json' };
    for (const asked of ['POST /publish', 'POST /login', 'POST /logout', 'PUT /', 'OPTIONS /events', 'DELETE /x']) {
      const [method, path] = asked.split(' ');
      const answer = await request(`${server.url}${path}`, { method, body: '{"data":"x"}', headers });
      assert.equal(answer.status, 403, method);
      assert.ok(errorOf(answer).includes(elsewhere), 'it says where to');
      assert.equal(answer.headers.location, undefined);
      assert.equal(answer.headers['set-cookie'], undefined);
    }
    const stream = await openTlsStream(server, { authority }, { path: '/events?last_event_id=0-0' });
    await stream.waitFor((block) => block.event === 'heartbeat');
    assert.equal(stream.events.length, 0, 'nothing of it was published');
    stream.close();
  });

  /** Whatever the answer is, it leads nowhere else. */
  async function assertLeadsNowhereElse(target, headers = '', host = 'localhost') {
    const connection = await raw(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}Connection: close\r\n\r\n`);
    const answer = await connection.answer();
    await connection.waitForClose();
    assert.ok([308, 400, 403, 414, 431].includes(answer.status), `${answer.status} for ${JSON.stringify(target)}`);
    assert.equal(connection.text, '', `one answer for ${JSON.stringify(target)}`);
    const injected = Object.keys(answer.headers).filter((name) => /^x-(?!request-id)|set-cookie|refresh/.test(name));
    assert.deepEqual(injected, [], 'no header of the client');
    if (answer.status === 308) {
      const { location } = answer.headers;
      assert.match(location, /^[\x21-\x7e]+$/);
      assert.ok(location.startsWith(`${elsewhere}/`), location);
      for (const base of ['http://localhost/', 'https://localhost/']) {
        const url = new URL(location, base);
        assert.deepEqual([url.origin, url.username, url.password], [elsewhere, '', ''], location);
      }
    } else {
      assert.equal(answer.headers.location, undefined);
    }
    connection.close();
    return answer.status;
  }

  test('StrangeTargetsLeadNowhereElse', async () => {
    const targets = [
      '//evil.example', '//evil.example/%2f..', '///evil.example', '/\\evil.example', '\\\\evil.example', '/%5cevil.example', '/%0d%0aX-Injected:%20yes',
      '/%0d%0a%0d%0a<script>', '/a?%0d%0aSet-Cookie:%20a=b', 'http://evil.example/', 'https://evil.example/x?y', 'HTTPS://evil.example',
      'http://evil.example@localhost/', 'evil.example:443', '*', '@evil.example', ':80/', '.evil.example', '?x', '#x', '/#@evil.example',
      '/x#y', '/\xe4', '/\xff\xfe', '/a?\xc3\xa4', '/"><script>', '/\t', '/a\x00b', '/\x7f', '/{}|^`', '/a?<>"', `/${'x'.repeat(4000)}`,
      '/..', '/../..//evil.example', '/;@evil.example',
    ];
    for (const target of targets) await assertLeadsNowhereElse(target);
    assert.equal(await assertLeadsNowhereElse('//evil.example'), 308, 'a path of ours');
    for (const host of ['evil.example', 'evil.example:80', '@', 'a b']) {
      await assertLeadsNowhereElse('/x', 'X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil.example\r\n', host);
    }
    await assertLeadsNowhereElse('/a\r\nX-Injected: yes');
    await assertLeadsNowhereElse('/a\rX-Injected: yes');
    await assertLeadsNowhereElse('/a\nX-Injected: yes');
  });

  test('RandomTargetsLeadNowhereElse', async () => {
    const roll = random(Number(process.env.RINGCAST_SEED ?? 3));
    const parts = [
      ...['/', '//', '\\', '@', ':', '.', '..', '?', '#', '%', '%2f', '%0a', 'evil.example', 'http:', 'https:'],
      ...['\xe9', '\x01', '[', ']', ';', '\t', 'a', '443'],
    ];
    for (let i = 0; i < 300; ++i) {
      let target = roll() < 0.7 ? '/' : '';
      for (let n = 1 + Math.floor(roll() * 6); n > 0; --n) target += parts[Math.floor(roll() * parts.length)];
      await assertLeadsNowhereElse(target);
    }
  });

  test('ProxyThatSpeaksHttpsForItsClientsIsServed', async () => {
    const asked = (protocol) => `GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: ${protocol}\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n`;
    const proxied = await raw(asked('https'), { localAddress: '127.0.0.2' });
    assert.equal((await proxied.answer()).status, 200);
    proxied.write(asked('http'));
    assert.equal((await proxied.answer()).status, 308);
    proxied.close();
    const liar = await raw(asked('https'));
    assert.equal((await liar.answer()).status, 308, 'anybody can write such a header');
    liar.close();
  });

  test('CurlFollowsToTheLivePage', async () => {
    const { hostname, port } = new URL(elsewhere);
    const to = ['--connect-to', `${hostname}:${port}:127.0.0.1:${server.tlsPort}`, '--insecure']; // the name is not in the certificate
    const curl = await new Program('curl', ['-sSL', ...to, '-w', '\n%{url_effective} %{num_redirects}', `${server.url}/?x=1`]).end();
    assert.match(curl.out, /<!doctype html>[^]*\nhttps:\/\/push\.example\.com:8443\/\?x=1 1$/i);
  });

  test('ReloadTurnsItOffAndOnAndOpenStreamsStay', async () => {
    const one = await startTls([pair]);
    try {
      const open = await Stream.open(one);
      await open.waitFor((block) => block.event === 'heartbeat');
      await one.reload({ tls: { redirect_to: one.httpsUrl } });
      const moved = await request(`${one.url}/events`);
      assert.deepEqual([moved.status, moved.headers.location], [308, `${one.httpsUrl}/events`]);
      const secure = await openTlsStream(one, { authority });
      await one.reload({ tls: { redirect_to: '' } });
      const id = await one.publish({ data: 'in the clear again' });
      for (const stream of [open, secure]) await stream.waitFor((block) => block.id === id);
      open.close();
      secure.close();
    } finally {
      await one.stop();
    }
  });
});
