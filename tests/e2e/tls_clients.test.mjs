// HTTPS as clients see it that this project did not write: curl, OpenSSL's s_client, Node, the npm package `eventsource`,
// Chromium.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';

import { by, launch, newPage, waitForEvent, waitForState, waitForText } from './chromium.mjs';
import { describeInEachMode, patience, sharedServer, until } from './harness.mjs';
import { writeUsers } from './identity.mjs';
import { askWithSClient, Authority, openTls, Program, sClient, spkiHash, startTls, certificatesOf } from './tls.mjs';
import { ChunkReader, StrictEventReader } from './wire.mjs';

const authority = new Authority();
const pairs = {
  ecdsa: authority.issue('ecdsa'),
  rsa: authority.issue('rsa', undefined, { kind: 'rsa' }),
  ed25519: authority.issue('ed25519', ['ed.example.com'], { kind: 'ed25519' }),
  push: authority.issue('push', ['push.example.com']),
  wild: authority.issue('wild', ['*.example.org']),
};
after(() => authority.remove());

const suites13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
const ciphers12 = ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'];
const suites12 = ['ECDSA', 'RSA'].flatMap((kind) => ciphers12.map((cipher) => `ECDHE-${kind}-${cipher}`));
const trust = ['-CAfile', authority.file, '-verify_return_error', '-servername', 'localhost', '-verify_hostname', 'localhost'];
const eventsRequest = 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** The blocks of the stream in what a program printed; curl takes the chunks off. */
function blocksIn(out, { chunks = true } = {}) {
  const blocks = [];
  const events = new StrictEventReader((block) => blocks.push(block));
  const reader = chunks ? new ChunkReader((part) => events.feed(part)) : events;
  reader.feed(Buffer.from(out.slice(out.indexOf('\r\n\r\n', out.indexOf('HTTP/1.1 200')) + 4)));
  return blocks;
}

const curl = (...args) => new Program('curl', ['-sS', '-N', '-i', '--cacert', authority.file, '--max-time', String(20 * patience), ...args]);

async function curlAnswer(...args) {
  const run = await curl(...args).end();
  assert.equal(run.code, 0, run.err);
  return run.out;
}

describeInEachMode('clients of HTTPS', (descriptors) => {
  const shared = sharedServer(() => ({
    descriptors,
    config: { tls: { listen: ['127.0.0.1:0'], ...certificatesOf(Object.values(pairs)) }, history: { events: 1000 } },
  }));
  const server = () => shared.server;
  const port = () => server().tlsPort;

  for (const [title, args, protocol] of [
    ['as it likes', [], /TLSv1\.3 \/ TLS_/],
    ['TLS 1.2 at most', ['--tls-max', '1.2'], /TLSv1\.2 \/ ECDHE-ECDSA-/],
    ...suites13.map((suite) => [suite, ['--tls13-ciphers', suite, '--tlsv1.3'], new RegExp(`TLSv1\\.3 / ${suite}`)]),
  ]) {
    test(`CurlStreamsAndPublishes, ${title}`, async () => {
      const url = server().httpsUrl;
      const stream = curl('-v', ...args, `${url}/events?topic=orders`);
      await stream.waitFor(/event: heartbeat/);
      assert.match(stream.err, protocol);
      assert.match(stream.err, /ALPN: server accepted http\/1\.1/);
      assert.match(stream.err, /SSL certificate verify ok/);
      const data = `for curl ${'é'.repeat(30_000)}`;
      const body = authority.at('body.json');
      fs.writeFileSync(body, JSON.stringify({ data, topic: 'orders' }));
      const answer = await curlAnswer(...args, '-H', 'Content-Type: application/json', '--data-binary', `@${body}`, `${url}/publish`);
      const [, id] = /^HTTP\/1\.1 204 [^]*\r\nEvent-Id: (\S+)\r\n/i.exec(answer);
      await stream.waitFor(new RegExp(`id: ${id}\n[^]*\n\n`));
      assert.equal(blocksIn(stream.out, { chunks: false }).find((block) => block.id === id).data, data);
      await stream.stop();
    });
  }

  test('CurlGoesByPlainHttpAsBefore', async () => {
    assert.match(await curlAnswer(`${server().url}/nowhere`), /^HTTP\/1\.1 404 /);
  });

  for (const [version, suites, option] of [['tls1_3', suites13, '-ciphersuites'], ['tls1_2', suites12, '-cipher']]) {
    for (const suite of suites) {
      test(`SClientReadsAStreamUnder ${suite}`, async () => {
        const client = sClient(port(), [...trust, `-${version}`, option, suite, '-brief']);
        client.say(eventsRequest);
        await client.waitFor(/event: heartbeat/);
        assert.match(client.err, new RegExp(`Ciphersuite: ${suite}\\n`));
        assert.match(client.err, /Verification: OK/);
        const ids = [];
        for (let i = 0; i < 5; ++i) ids.push(await server().publish({ data: `${suite} ${i} ${'x'.repeat(i * 9000)}` }));
        await until(() => blocksIn(client.out).some((block) => block.id === ids.at(-1)), 'the last event');
        const got = blocksIn(client.out).filter((block) => block.event === undefined && block.data !== undefined);
        assert.deepEqual(got.map((block) => block.id), ids);
        assert.equal(got[4].data, `${suite} 4 ${'x'.repeat(36_000)}`);
        await client.stop();
      });
    }

    test(`SClientResumesItsSession, ${version}`, async () => {
      const session = authority.at(`${version}.session`);
      const before = await server().metric('ringcast_tls_handshakes_resumed_total');
      const first = await askWithSClient(port(), [...trust, `-${version}`, '-sess_out', session]);
      assert.match(first.out, /^New, TLSv1\.[23], Cipher is /m);
      // A ticket is for every shard: some go to another one.
      for (let i = 1; i <= 6; ++i) {
        const again = await askWithSClient(port(), [...trust, `-${version}`, '-sess_in', session]);
        assert.match(again.out, /^Reused, TLSv1\.[23], Cipher is /m, `${i}`);
        assert.match(again.out, /HTTP\/1\.1 404 /);
        await until(async () => (await server().metric('ringcast_tls_handshakes_resumed_total')) === before + i, 'it is counted');
      }
      // A stream on a resumed session.
      const stream = sClient(port(), [...trust, `-${version}`, '-sess_in', session]);
      stream.say(eventsRequest);
      await stream.waitFor(/event: heartbeat/);
      assert.match(stream.out, /^Reused, /m);
      const id = await server().publish({ data: 'after the resumption' });
      await stream.waitFor(new RegExp(`id: ${id}`));
      await stream.stop();
    });
  }

  test('WhatIsWeakIsRefused', async () => {
    const weak = [
      ['-tls1_2', '-cipher', 'AES128-GCM-SHA256'], ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-SHA'], ['-tls1_2', '-cipher', 'DHE-RSA-AES128-GCM-SHA256'],
      ['-tls1_2', '-cipher', 'AES256-SHA'], ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-groups', 'secp521r1'], ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256'], ['-alpn', 'h2'],
    ];
    for (const args of weak) {
      const client = await askWithSClient(port(), args);
      assert.match(client.err, /alert (handshake failure|protocol version|no application protocol)/, args.join(' '));
      assert.doesNotMatch(client.out, /HTTP\//);
    }
    for (const group of ['X25519', 'P-256']) {
      assert.match((await askWithSClient(port(), [...trust, '-groups', group])).out, /HTTP\/1\.1 404 /, group);
    }
  });

  test('EachClientGetsACertificateThatItCanVerify', async () => {
    const rsaOnly = 'RSA-PSS+SHA256:RSA+SHA256';
    const asked = [
      [{ servername: 'localhost' }, pairs.ecdsa], [{ servername: 'localhost', sigalgs: rsaOnly }, pairs.rsa],
      [{ servername: 'push.example.com' }, pairs.push], [{ servername: 'PUSH.example.com' }, pairs.push],
      [{ servername: 'any.example.org' }, pairs.wild], [{ servername: 'ed.example.com' }, pairs.ed25519],
      [{ servername: 'two.levels.example.org' }, pairs.ecdsa], [{ servername: 'unknown.example' }, pairs.ecdsa],
      [{ servername: '' }, pairs.ecdsa],
    ];
    for (const version of ['TLSv1.3', 'TLSv1.2']) {
      for (const [options, pair] of asked) {
        const always = { authority, version, checkServerIdentity: () => undefined, ALPNProtocols: ['h2', 'http/1.1'] };
        const connection = await openTls(port(), { ...always, ...options });
        assert.equal(connection.socket.getPeerCertificate().serialNumber, pair.serial, JSON.stringify(options));
        assert.equal(connection.socket.alpnProtocol, 'http/1.1');
        connection.close();
      }
      await assert.rejects(openTls(port(), { version, servername: 'push.example.com', sigalgs: rsaOnly }), /handshake failure/i);
    }
  });

  test('NodeKeepsItsConnection', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: authority.certificate });
    const ask = (path, { method = 'GET', body } = {}) =>
      new Promise((resolve, reject) => {
        const headers = body ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } : {};
        const outgoing = https.request(`${server().httpsUrl}${path}`, { agent, method, headers }, (response) => {
          response.resume().on('end', () => resolve({ status: response.statusCode, reused: outgoing.reusedSocket, headers: response.headers }));
        });
        outgoing.on('error', reject).end(body);
      });
    try {
      for (let i = 0; i < 20; ++i) {
        const answer = i % 2 ? await ask('/publish', { method: 'POST', body: JSON.stringify({ data: 'x'.repeat(i * 3000) }) }) : await ask('/nowhere');
        assert.equal(answer.status, i % 2 ? 204 : 404);
        assert.equal(answer.reused, i > 0);
      }
    } finally {
      agent.destroy();
    }
  });
});

describe('clients of HTTPS, in their own ways', () => {
  for (const record_layer of ['own', 'openssl']) {
    test(`KeyUpdatesBothWaysInAStream, record layer ${record_layer}`, async () => {
      const server = await startTls([pairs.ecdsa], { config: { tls: { record_layer } } });
      try {
        for (const suite of suites13) {
          const client = sClient(server.tlsPort, [...trust, '-tls1_3', '-ciphersuites', suite, '-brief']);
          client.say(eventsRequest);
          await client.waitFor(/event: heartbeat/);
          const ids = [];
          for (let i = 0; i < 40; ++i) {
            // `K` asks for the server's next key, too.
            client.say(['K\n', 'k\n', 'K\n'][i % 3]);
            await until(() => client.err.split('KEYUPDATE').length === i + 2, 's_client updates its key');
            for (let n = i % 3; n < 3; ++n) ids.push(await server.publish({ data: `${i} ${'z'.repeat(n * 10_000)}` }));
          }
          await until(() => blocksIn(client.out).some((block) => block.id === ids.at(-1)), 'the last event', 10_000);
          const got = blocksIn(client.out).filter((block) => block.event === undefined && block.data !== undefined);
          assert.deepEqual(got.map((block) => block.id), ids);
          assert.doesNotMatch(client.err, /error/);
          await client.stop();
        }
        assert.equal(await server.metric('ringcast_streams_ended_tls_total'), 0);
      } finally {
        await server.stop();
      }
    });
  }

  test('FetchAndTheNpmPackageWorkAsTheyCome', async () => {
    const server = await startTls([pairs.ecdsa], { config: { stream: { retry_ms: 100 } } });
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority.file };
    const program = new Program(process.execPath, ['tls_node_client.mjs', server.httpsUrl], { env });
    const lines = () => program.out.split('\n').slice(0, -1).map((line) => JSON.parse(line));
    try {
      await program.waitFor(/heartbeat/);
      const sent = Array.from({ length: 20 }, (_, i) => ({ data: `${i} ${'ü'.repeat(i * 500)}` }));
      for (const event of sent) program.say(`${JSON.stringify(event)}\n`);
      const said = (name) => lines().filter((line) => line[name]);
      // An event may come before its publisher's answer.
      await until(
        () => said('data').length === sent.length && said('published').length === sent.length,
        () => `all events and answers ${program.out.slice(-500)} ${program.err}`,
      );
      assert.deepEqual(said('data').map((line) => line.data), sent.map((event) => event.data));
      assert.deepEqual(said('published').map((line) => line.published), said('data').map((line) => line.id));
      server.signal('SIGTERM');
      await program.waitFor(/"closing":"drain"/);
    } finally {
      await program.stop();
      await server.stop();
    }
  });

  test('CurlSignsInAndTheCookieIsSecure', async () => {
    const users_file = writeUsers(authority.at('users.htpasswd'), { alice: 'Opensesame-1' });
    const server = await startTls([pairs.ecdsa], { config: { auth: { users_file }, 'auth.grants.alice': { subscribe: ['*'], publish: ['*'] } } });
    const jar = authority.at('cookies.txt');
    const credentials = ['--data-urlencode', 'username=alice', '--data-urlencode', 'password=Opensesame-1'];
    try {
      const { url, httpsUrl } = server;
      const signedIn = await curlAnswer('-c', jar, ...credentials, `${httpsUrl}/login`);
      assert.match(signedIn, /\r\nSet-Cookie: token=\S+; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure\r\n/i);
      assert.doesNotMatch(await curlAnswer(...credentials, `${url}/login`), /Secure/, 'over plain HTTP it could not come back');
      const stream = curl('-b', jar, `${httpsUrl}/events`);
      await stream.waitFor(/event: heartbeat/);
      const published = await curlAnswer('-b', jar, '-H', 'Content-Type: application/json', '-d', '{"data":"signed in"}', `${httpsUrl}/publish`);
      assert.match(published, /^HTTP\/1\.1 204 /);
      await stream.waitFor(/data: signed in/);
      // A page of this site, by its own origin and no other.
      const event = ['-b', jar, '-H', 'Content-Type: application/json', '-d', '{"data":"x"}'];
      const from = (origin) => curlAnswer(...event, '-H', `Origin: ${origin}`, `${httpsUrl}/publish`);
      assert.match(await from(httpsUrl), /^HTTP\/1\.1 204 /);
      assert.match(await from(httpsUrl.replace('https', 'http')), /^HTTP\/1\.1 403 /);
      assert.match(await curlAnswer('-b', jar, '-X', 'POST', `${httpsUrl}/logout`), /\r\nSet-Cookie: token=; .*Max-Age=0.*; Secure\r\n/i);
      await stream.waitFor(/"signed-out"/);
      await stream.end();
      assert.equal(stream.code, 0, `curl saw a whole answer: ${stream.err}`);
    } finally {
      await server.stop();
    }
  });

  describe('Chromium', () => {
    let server;
    let browser;
    before(async () => {
      const users_file = writeUsers(authority.at('browser.htpasswd'), { alice: 'Opensesame-1' });
      // The address to send clients to is known when the port is.
      server = await startTls([pairs.ecdsa], {
        config: { stream: { retry_ms: 200 }, auth: { users_file }, 'auth.grants.alice': { subscribe: ['*'], publish: ['*'] } },
      });
      await server.reload({ tls: { redirect_to: server.httpsUrl } });
      browser = await launch([`--ignore-certificate-errors-spki-list=${spkiHash(pairs.ecdsa)}`]);
    });
    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    test('PlainAddressLeadsToTheSecureLivePage', async () => {
      const context = await browser.newContext();
      const page = await newPage(context);
      await page.goto(`${server.url}/login.html`);
      assert.equal(page.url(), `${server.httpsUrl}/login.html`);
      await page.fill(by('login-username'), 'alice');
      await page.fill(by('login-password'), 'Opensesame-1');
      await page.click(by('login-submit'));
      await page.waitForURL(`${server.httpsUrl}/`);
      await waitForState(page, 'open');
      const [cookie] = await context.cookies();
      assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite], ['token', true, true, 'Lax']);

      await page.fill(by('publish-data'), 'over a secure line');
      await page.click(by('publish-send'));
      await waitForText(page, 'publish-result', 'Event-Id: ');
      await waitForEvent(page, 'over a secure line');
      assert.equal((await server.metrics()).get('ringcast_streams_tls'), 1, 'Chromium is under the own record layer');
      // Events of many sizes, while the page reads.
      await page.evaluate(async () => {
        const headers = { 'Content-Type': 'application/json' };
        for (let i = 0; i < 100; ++i) {
          await fetch('/publish', { method: 'POST', headers, body: JSON.stringify({ data: `${i} ${'x'.repeat(i * 200)}` }) });
        }
      });
      await waitForEvent(page, `99 ${'x'.repeat(50)}`);
      // Chromium itself reports each answer of 4xx: before the sign-in there was one.
      assert.deepEqual(page.complaints.filter((text) => !/^Failed to load resource.*\b401\b/.test(text)), []);
      await context.close();
    });
  });
});
