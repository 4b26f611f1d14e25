// SIGHUP renews certificates: new connections get the new one, and nobody else notices. What does not load changes
// nothing, and the log says which file is at fault. The same errors at the start.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { after, describe, test } from 'node:test';

import { binary, describeInEachMode, Server, until } from './harness.mjs';
import { askWithSClient, Authority, certificatesOf, openTls, openTlsStream, Program, startTls } from './tls.mjs';

const authority = new Authority();
after(() => authority.remove());
const old = authority.issue('old');
const young = authority.issue('young', undefined, { days: 60 });
const expired = authority.issue('expired', undefined, { days: -1 });
const rsa = authority.issue('rsa', undefined, { kind: 'rsa' });
const trust = ['-CAfile', authority.file, '-verify_return_error'];

/** Files at fault, made when they are wanted: name → [certificate, key, what the log must say]. */
const atFault = {
  'a certificate that is not there': () => [authority.at('none.pem'), young.key, /none\.pem: .*No such file/],
  'a key that is not there': () => [young.certificate, authority.at('none.key'), /none\.key: .*No such file/],
  'a key of another certificate': () => [young.certificate, old.key, /old\.key: the private key does not belong to the certificate of .*young\.pem/],
  'no certificate': () => [written('empty.pem', ''), young.key, /empty\.pem: holds no certificate in PEM form/],
  'a key for a certificate': () => [young.key, young.key, /young\.key: holds no certificate in PEM form/],
  'a certificate for a key': () => [young.certificate, young.certificate, /young\.pem: holds no private key in PEM form/],
  'half a certificate': () => [written('half.pem', young.pem.slice(0, 300)), young.key, /half\.pem: certificate 1 is damaged and cannot be read/],
  'a certificate with a changed letter': () => [
    written('changed.pem', young.pem.replace(/\n[A-Za-z]/g, '\n!')), young.key, /changed\.pem: certificate 1 is damaged/,
  ],
  'half a key': () => [young.certificate, written('half.key', fs.readFileSync(young.key, 'utf8').slice(0, 100)), /half\.key: /],
  'a folder': () => [authority.folder, young.key, /Is a directory/],
  'a key behind a passphrase': () => [young.certificate, behindPassphrase(young.key), /secret\.key: the private key needs a passphrase/],
  'a weak key': () => [...weak(), /weak\.pem: its RSA key has 1024 bits/],
};

function written(name, text) {
  fs.writeFileSync(authority.at(name), text);
  return authority.at(name);
}

function behindPassphrase(key) {
  const file = authority.at('secret.key');
  execFileSync('openssl', ['pkey', '-in', key, '-aes256', '-passout', 'pass:open', '-out', file], { stdio: 'pipe' });
  return file;
}

function weak() {
  const files = [authority.at('weak.pem'), authority.at('weak.key')];
  const args = ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-subj', '/CN=localhost', '-keyout', files[1], '-out', files[0]];
  execFileSync('openssl', args, { stdio: 'pipe' });
  return files;
}

const use = (pair) => ({ tls: certificatesOf([pair]) });

async function serialOf(server, options = {}) {
  const connection = await openTls(server.tlsPort, { authority, ...options });
  const { serialNumber } = connection.socket.getPeerCertificate();
  connection.close();
  return serialNumber;
}

describeInEachMode('reload of certificates', (descriptors) => {
  async function withServer(tls, body) {
    const server = await startTls([old], { descriptors, config: { tls } });
    const opened = [];
    const stream = async (options) => {
      opened.push(await openTlsStream(server, { authority, ...options }));
      return opened.at(-1);
    };
    try {
      await body({ server, stream });
    } finally {
      opened.forEach((each) => each.connection.close());
      await server.stop();
    }
  }

  async function assertAllHear(server, streams) {
    const id = await server.publish({ data: `${streams.length} listen` });
    for (const stream of streams) await stream.waitFor((block) => block.id === id, 'an event after the reload');
  }

  test('NewConnectionsGetTheNewCertificateAndOldStreamsStay', () =>
    withServer({}, async ({ server, stream }) => {
      const streams = [await stream(), await stream({ version: 'TLSv1.2' })];
      const kept = await openTls(server.tlsPort, { authority });
      assert.equal(await serialOf(server), old.serial);
      const expiry = await server.metric('ringcast_tls_certificate_expiry_timestamp_seconds');

      await server.reload(use(young));
      for (const version of ['TLSv1.3', 'TLSv1.2', 'TLSv1.3', 'TLSv1.2']) assert.equal(await serialOf(server, { version }), young.serial);
      assert.ok((await server.metric('ringcast_tls_certificate_expiry_timestamp_seconds')) - expiry > 29 * 86_400, 'what expires is told');
      assert.match(server.output, /young\.pem is in use; it expires on \d{4}-/);
      kept.write('GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.equal((await kept.answer()).status, 404);
      await assertAllHear(server, [...streams, await stream()]);
      kept.close();
    }));

  test('SameFilesWithNewContentAreReadAgain', async () => {
    const renewed = authority.issue('renewed');
    await withServer(certificatesOf([renewed]), async ({ server }) => {
      assert.equal(await serialOf(server), renewed.serial);
      const next = authority.issue('renewed'); // as certbot does it
      assert.notEqual(next.serial, renewed.serial);
      await server.reload({});
      assert.equal(await serialOf(server), next.serial);
    });
  });

  test('HandshakeThatIsUnderWayEndsWithWhatItBeganWith', () =>
    withServer({}, async ({ server }) => {
      // The server has answered, and the client does not read it yet.
      let line;
      const opening = openTls(server.tlsPort, { authority, line: { budget: 0 }, onLine: (made) => (line = made) });
      await until(async () => (await server.metric('ringcast_tls_handshakes_open')) === 1, 'a handshake is under way');
      await server.reload(use(young));
      line.go();
      const connection = await opening;
      assert.equal(connection.socket.getPeerCertificate().serialNumber, old.serial);
      connection.write('GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.equal((await connection.answer()).status, 404);
      connection.close();
      assert.equal(await serialOf(server), young.serial);
    }));

  test('TicketsStillResume', () =>
    withServer({}, async ({ server }) => {
      for (const version of ['-tls1_3', '-tls1_2']) {
        const session = authority.at(`reload${version}.session`);
        await askWithSClient(server.tlsPort, [...trust, version, '-sess_out', session]);
        await server.reload(use(version === '-tls1_3' ? young : rsa));
        const again = await askWithSClient(server.tlsPort, [...trust, version, '-sess_in', session]);
        assert.match(again.out, /^Reused, /m, version);
        assert.match(again.out, /HTTP\/1\.1 404 /);
      }
    }));

  test('WhatDoesNotLoadLeavesTheOldOneInUse', () =>
    withServer({}, async ({ server, stream }) => {
      const streams = [await stream()];
      for (const [name, make] of Object.entries(atFault)) {
        const [certificate, key, reason] = make();
        const said = server.output.length;
        await server.reload({ tls: { certificate, private_key: key }, stream: { retry_ms: 1234 } });
        const output = server.output.slice(said);
        assert.match(output, /the configuration was not reloaded, the old one stays in use: tls: /, name);
        assert.match(output, reason, name);
        assert.doesNotMatch(output, /PRIVATE|BEGIN/, 'no secret in the log');
        assert.equal(await serialOf(server), old.serial, name);
      }
      streams.push(await stream());
      assert.equal(streams.at(-1).blocks[0].retry, 3000, 'nothing else changed either');
      await server.reload(use(young));
      assert.equal(await serialOf(server), young.serial, 'and then it does load');
      await assertAllHear(server, [...streams, await stream()]);
    }));

  test('ExpiredCertificateIsUsedWithAWarning', () =>
    withServer({}, async ({ server }) => {
      await server.reload(use(expired));
      assert.match(server.output, /warn.* tls: .*expired\.pem: the certificate expired on \d{4}-\d\d-\d\d/);
      assert.equal(await serialOf(server, { rejectUnauthorized: false }), expired.serial);
      await assert.rejects(serialOf(server), /expired/);
      await server.reload(use(young));
      assert.equal(await serialOf(server), young.serial);
    }));

  test('ListenersAndRecordLayerWaitForTheNextStart', () =>
    withServer({}, async ({ server, stream }) => {
      const streams = [await stream()];
      const before = server.output.length;
      await server.reload({ tls: { listen: [], record_layer: 'openssl', handshake_seconds: 3 } });
      assert.match(server.output.slice(before), /take effect at the next start: .*tls\.listen/);
      await assertAllHear(server, [...streams, await stream()]);
      assert.equal(await server.metric('ringcast_streams_tls'), 2);
    }));
});

describe('a start without a certificate that can be used', () => {
  const starting = (tls) => Server.start({ config: { tls: { listen: ['127.0.0.1:0'], ...tls } } });

  for (const [name, make] of Object.entries(atFault)) {
    test(`IsRefusedInWords: ${name}`, async () => {
      const [certificate, private_key, reason] = make();
      await assert.rejects(starting({ certificate, private_key }), (error) => {
        assert.match(error.message, /the server ended at once: \{"code":[12],/);
        assert.match(error.message, reason);
        return true;
      });
    });
  }

  test('IsRefusedInWordsWhenTheConfigurationContradictsItself', async () => {
    const pair = certificatesOf([young]);
    for (const [tls, reason] of [
      [{}, /tls\.certificate/],
      [{ certificate: young.certificate }, /tls\.private_key/],
      [{ ...pair, private_key: [young.key, old.key] }, /tls\.private_key/],
      [{ ...pair, redirect_to: 'http://plain.example' }, /redirect_to.*https:\/\//],
      [{ ...pair, redirect_to: 'https://host/path' }, /redirect_to/],
      [{ ...pair, redirect_to: 'https://host\r\nX: y' }, /redirect_to/],
      [{ ...pair, listen: [], redirect_to: 'https://host' }, /redirect_to/],
      [{ ...pair, handshake_seconds: 0 }, /handshake_seconds/],
      [{ ...pair, handshakes_max: 0 }, /handshakes_max/],
      [{ ...pair, record_layer: 'kernel' }, /record_layer/],
    ]) {
      await assert.rejects(starting(tls), (error) => {
        assert.match(error.message, /the server ended at once: \{"code":2,/, JSON.stringify(tls));
        assert.match(error.message, reason, JSON.stringify(tls));
        return true;
      });
    }
  });

  test('IsFoundByCheckToo', async () => {
    const file = authority.at('check.toml');
    for (const [pair, code, text] of [
      [{ certificate: young.certificate, key: young.key }, 0, /record_layer = "own"/],
      [{ certificate: young.certificate, key: old.key }, 2, /old\.key: the private key does not belong/],
      [{ certificate: expired.certificate, key: expired.key }, 0, /warning: tls: .*expired\.pem: the certificate expired on/],
    ]) {
      const tls = `listen = ["127.0.0.1:0"]\ncertificate = "${pair.certificate}"\nprivate_key = "${pair.key}"\n`;
      fs.writeFileSync(file, `[auth]\nrequired = false\n[tls]\n${tls}`);
      const check = await new Program(binary, ['check', '--config', file]).end();
      assert.equal(check.code, code, check.err);
      assert.match(check.out + check.err, text);
    }
  });

  test('HttpsAloneIsEnough', async () => {
    const server = await startTls([young], { config: { server: { listen: [] } } });
    try {
      assert.equal(server.url, undefined);
      const stream = await openTlsStream(server, { authority });
      await stream.waitFor((block) => block.event === 'heartbeat');
      stream.close();
    } finally {
      await server.stop();
    }
  });
});
