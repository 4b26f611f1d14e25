// Clients that break TLS, by mistake or on purpose, before, within and after the handshake. After all of it the
// server still serves, says by its counters what it saw, and holds nothing that belonged to those clients.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { describeInEachMode, errorOf, patience, random, sleep, until } from './harness.mjs';
import { askWithSClient, Authority, layers, openTls, sClient } from './tls.mjs';
import { alerts, clientHello, kind, paddedHello, record, Records } from './tls_records.mjs';
import { Scene } from './tls_scene.mjs';

const authority = new Authority();
const pair = authority.issue('server');
after(() => authority.remove());

const hello = await clientHello({ ALPNProtocols: ['http/1.1'] });
const oldHello = await clientHello({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
const request = 'GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n';
const publishHead = 'POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n';

/** What the server said in the clear, as records; the last one may be a fatal alert. */
function alertIn(connection) {
  const records = new Records().take(connection.bytes);
  const last = records.at(-1);
  return last?.[0] === kind.alert && last[5] === 2 ? last[6] : null;
}

const isHello = (connection) => connection.bytes[0] === kind.handshake && connection.bytes[5] === 2;

/** What Node calls the alert that it got. */
async function assertAlert(connection, pattern, what) {
  await until(() => connection.closed, `${what}: the server closes`);
  assert.match(`${what}: ${connection.error?.code ?? 'no alert'}`, new RegExp(`: ERR_SSL_.*(${pattern.source})`));
}

function withExtension(type, data = []) {
  // The padding of `paddedHello`, turned into another extension at the end of the hello.
  const bytes = Buffer.from(paddedHello(hello, data.length));
  const at = bytes.length - data.length - 4;
  bytes.writeUInt16BE(type, at);
  Buffer.from(data).copy(bytes, at + 4);
  return bytes;
}

const tooOld = Buffer.from(oldHello);
tooOld.writeUInt16BE(0x0301, 9);

/**
 * What is refused before any handshake: [bytes, reason, alert]. `null`: nobody would read one. 'perhaps': TCP may lose it, since
 * the client goes on talking.
 */
const refusedAtOnce = {
  'garbage': [Buffer.from('\0\x01\x02garbage'), 'not-tls', null],
  'another protocol': ['SSH-2.0-OpenSSH_9.2\r\n', 'not-tls', null],
  'SSL 2': [Buffer.from([0x80, 46, 1, 3, 1, 0, 5, 0, 0, 0, 16, 0]), 'not-tls', null],
  'data first': [record(kind.data, 'GET / HTTP/1.1\r\n\r\n'), 'not-tls', null],
  'empty records': [Buffer.concat(Array(40).fill(record(kind.handshake, ''))), 'protocol', 'any'],
  'a record that is too long': [record(kind.handshake, '', { length: 65535 }), 'protocol', alerts.recordOverflow],
  'a server hello': [record(kind.handshake, [2, 0, 0, 2, 3, 3]), 'protocol', alerts.unexpectedMessage],
  'a hello without anything': [record(kind.handshake, [1, 0, 0, 0]), 'protocol', alerts.decodeError],
  'a hello that lies about its length': [
    Buffer.concat([hello.subarray(0, 8), Buffer.from([9]), hello.subarray(9), record(kind.handshake, 'x'.repeat(5000))]), 'protocol', 'any',
  ],
  'a hello over 32 KiB': [paddedHello(hello, 40_000), 'protocol', 'perhaps'],
  'a hello that announces 16 MiB': [
    Buffer.concat([record(kind.handshake, [1, 255, 255, 255, 3, 3]), ...Array(4).fill(record(kind.handshake, Buffer.alloc(16384)))]), 'protocol', 'perhaps',
  ],
  'data behind half a hello': [
    Buffer.concat([record(kind.handshake, hello.subarray(5, 50)), record(kind.data, 'x'.repeat(50))]), 'protocol', alerts.unexpectedMessage,
  ],
  'two hellos': [Buffer.concat([hello, hello]), 'protocol', 'perhaps'],
  'TLS 1.0': [tooOld, 'no-agreement', 70],
  'no cipher in common': [
    await clientHello({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }), 'no-agreement', alerts.handshakeFailure,
  ],
  'HTTP/2 alone': [await clientHello({ ALPNProtocols: ['h2'] }), 'no-agreement', 120],
};

/**
 * What a client may not say under TLS 1.3 once the handshake is over: how it is made, and the alert. `null`: whether one
 * comes is not looked at, since TCP may lose it when the client goes on talking.
 */
const byHand = {
  'a bad tag': [(w) => flip(w.seal(kind.data, 'x'), -1), /BAD_RECORD_MAC/],
  'a changed byte': [(w) => flip(w.seal(kind.data, 'x'), 5), /BAD_RECORD_MAC/],
  'a record twice': [(w) => twice(w.seal(kind.data, '')), /BAD_RECORD_MAC/],
  'records out of order': [(w) => [w.seal(kind.data, ''), w.seal(kind.data, '')].reverse(), /BAD_RECORD_MAC/],
  'a lost record': [(w) => [w.seal(kind.data, ''), w.seal(kind.data, '')].slice(1), /BAD_RECORD_MAC/],
  'a number far ahead': [(w) => w.seal(kind.data, '', { number: 2 ** 40 }), /BAD_RECORD_MAC/],
  'the header of a record that is too long': [() => record(kind.data, '', { length: 20_000 }), /RECORD_OVERFLOW/],
  'content that is too long': [(w) => w.seal(kind.data, 'x'.repeat(16385)), /RECORD_OVERFLOW/],
  'nothing but padding': [(w) => w.sealRaw(Buffer.alloc(50)), /UNEXPECTED_MESSAGE/],
  'an empty plaintext': [(w) => w.sealRaw(Buffer.alloc(0)), /UNEXPECTED_MESSAGE|DECODE_ERROR|BAD_RECORD_MAC/],
  'an empty record': [() => record(kind.data, ''), /./],
  'a record shorter than its tag': [() => record(kind.data, 'x'.repeat(10)), /./],
  'a record of another type': [(w) => w.seal(kind.data, 'x', { type: kind.handshake }), /UNEXPECTED_MESSAGE|BAD_RECORD_MAC/],
  'a type that does not exist': [() => record(99, 'x'.repeat(50)), /UNEXPECTED_MESSAGE/],
  'a content type that does not exist': [(w) => w.seal(99, 'x'), /UNEXPECTED_MESSAGE/],
  'ChangeCipherSpec': [() => record(kind.changeCipherSpec, [1]), /UNEXPECTED_MESSAGE/],
  'ChangeCipherSpec, encrypted': [(w) => w.seal(kind.changeCipherSpec, [1]), /UNEXPECTED_MESSAGE/],
  'an alert in the clear': [() => record(kind.alert, [1, 0]), /./],
  'half an alert': [(w) => w.seal(kind.alert, [1]), /./],
  'an empty alert': [(w) => w.seal(kind.alert, []), /./],
  'a key update that asks for 2': [(w) => w.seal(kind.handshake, [24, 0, 0, 1, 2]), /ILLEGAL_PARAMETER|DECODE_ERROR/],
  'an empty key update': [(w) => w.seal(kind.handshake, [24, 0, 0, 0]), /DECODE_ERROR|UNEXPECTED_MESSAGE|ILLEGAL_PARAMETER/],
  'a long key update': [(w) => w.seal(kind.handshake, [24, 0, 0, 2, 0, 0]), /DECODE_ERROR|UNEXPECTED_MESSAGE|ILLEGAL_PARAMETER/],
  'two key updates in one record': [(w) => w.seal(kind.handshake, [24, 0, 0, 1, 0, 24, 0, 0, 1, 0]), /UNEXPECTED_MESSAGE/],
  'an empty handshake record': [(w) => w.seal(kind.handshake, []), /UNEXPECTED_MESSAGE|DECODE_ERROR/],
  'another hello': [(w) => w.seal(kind.handshake, hello.subarray(5)), /UNEXPECTED_MESSAGE/],
  'another Finished': [(w) => w.seal(kind.handshake, [20, 0, 0, 32, ...Array(32).fill(7)]), /UNEXPECTED_MESSAGE/],
  'a ticket of the client': [(w) => w.seal(kind.handshake, [4, 0, 0, 20, ...Array(20).fill(0)]), /UNEXPECTED_MESSAGE/],
  'a flood of key updates': [(w) => Array.from({ length: 200 }, () => w.keyUpdate()), null],
  'a flood of key updates that ask for ours': [(w) => Array.from({ length: 200 }, () => w.keyUpdate(true)), null],
  'a fatal alert': [(w) => w.alert(alerts.handshakeFailure), null],
};

function flip(bytes, at) {
  bytes[at < 0 ? bytes.length + at : at] ^= 1;
  return bytes;
}
const twice = (bytes) => [bytes, bytes];

/** What somebody in the middle does to the client's records of data: (record, how many were before) → records. */
const meddling = {
  'flips a bit': (bytes) => [flip(Buffer.from(bytes), -3)],
  'sends a record twice': (bytes) => [bytes, bytes],
  'drops a record': (bytes, number) => (number === 0 ? [] : [bytes]),
  'changes the type': (bytes) => [Buffer.concat([Buffer.from([kind.handshake]), bytes.subarray(1)])],
  'puts a record of garbage in between': (bytes) => [record(kind.data, Buffer.alloc(40)), bytes],
  'shortens a record': (bytes) => [record(kind.data, bytes.subarray(5, -1))],
  'lengthens a record': (bytes) => [record(kind.data, Buffer.concat([bytes.subarray(5), Buffer.from('x')]))],
};

const meddlerFrom = (change) => (line) => {
  let number = 0;
  line.outgoing = (bytes) => (bytes[0] === kind.data ? change(bytes, number++) : [bytes]);
};

describeInEachMode('broken TLS', (descriptors) => {
  let scene;
  const sceneWith = async (options) => {
    await scene?.server.stop();
    scene = await Scene.open({ authority, pair, descriptors, ...options });
  };
  before(() => sceneWith());
  after(async () => {
    scene.witness.connection.close();
    await scene.server.stop();
  });

  test('WhatIsNoHandshakeIsRefusedAtOnce', async () => {
    await scene.settle();
    const counts = {};
    for (const [name, [bytes, reason, alert]] of Object.entries(refusedAtOnce)) {
      const connection = await scene.raw(bytes);
      await until(() => connection.ended || connection.closed, `${name}: the server closes`);
      const said = alertIn(connection);
      if (alert === 'any') assert.notEqual(said, null, `${name}: an alert`);
      else if (alert !== 'perhaps') assert.equal(said, alert, name);
      if (alert === null) assert.equal(connection.bytes.length, 0, name);
      connection.close();
      counts[reason] = (counts[reason] ?? 0) + 1;
      await scene.stillServes({ newcomer: false });
    }
    await scene.end(counts);
  });

  test('HelloInSingleBytesOrInManyRecordsIsAnswered', async () => {
    await scene.settle();
    const inRecords = [];
    for (let i = 5; i < hello.length; i += 60) inRecords.push(record(kind.handshake, hello.subarray(i, i + 60)));
    const wide = paddedHello(hello, 20_000);
    for (const parts of [Array.from(hello, (byte) => Buffer.from([byte])), inRecords, [wide.subarray(0, 16_389), wide.subarray(16_389)]]) {
      const connection = await scene.raw();
      for (const part of parts) {
        connection.write(part);
        await new Promise(setImmediate);
      }
      await until(() => isHello(connection), 'a server hello');
      connection.close();
    }
    await scene.end({ 'client-left': 3 });
  });

  test('ClientThatLeavesWithinTheHandshakeIsForgotten', async () => {
    await scene.settle();
    const stages = [hello.subarray(0, 3), hello.subarray(0, 100), hello, Buffer.concat([hello, record(kind.changeCipherSpec, [1])]), 'GE'];
    for (const bytes of stages) {
      const halfClosed = await scene.raw(bytes);
      if (isWhole(bytes)) await until(() => isHello(halfClosed), 'a server hello');
      halfClosed.socket.end();
      await halfClosed.waitForClose();
      const reset = await scene.raw(bytes);
      if (isWhole(bytes)) await until(() => isHello(reset), 'a server hello');
      else await sleep(10);
      reset.reset();
    }
    await scene.end({ 'client-left': 2 * stages.length });
  });
  const isWhole = (bytes) => bytes.length >= hello.length;

  test('SilentClientsAreGivenUpInTime', async () => {
    await scene.settle();
    const begin = performance.now();
    const silent = [await scene.raw(), await scene.raw(hello.subarray(0, 50)), await scene.raw(hello)];
    for (const connection of silent) await connection.waitForClose(4000);
    assert.ok(performance.now() - begin >= 900, 'too early');
    await scene.end({ late: silent.length });
  });

  test('ByteByByteDoesNotProlongTheDeadline', async () => {
    await scene.settle();
    const connection = await scene.raw();
    const begin = performance.now();
    for (const byte of hello) {
      if (connection.closed || connection.ended) break;
      connection.write(Buffer.from([byte]));
      await sleep(50);
    }
    const took = performance.now() - begin;
    assert.ok(connection.closed || connection.ended, 'the client decided how long it may take');
    assert.ok(took >= 900 && took < 2500 * patience, `${took} ms`);
    await scene.end({ late: 1 });
  });

  test('HttpOnTheTlsPortIsToldWhatToDo', async () => {
    await scene.settle();
    const asked = [request, 'POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{}\n', 'OPTIONS * HTTP/1.1\r\n\r\n', 'HEAD / HTTP/1.0\r\n\r\n'];
    for (const text of asked) {
      for (const parts of [[text], [...text]]) {
        const connection = await scene.raw();
        for (const part of parts) {
          connection.write(part);
          if (parts.length > 1) await new Promise(setImmediate);
        }
        await connection.waitForClose();
        const answer = await connection.answer();
        assert.equal(answer.status, 400);
        assert.match(errorOf(answer), /https:\/\//);
        assert.equal(answer.headers.connection, 'close');
        connection.close();
      }
    }
    await scene.end({ 'plain-http': 2 * asked.length });
  });

  test('TlsOnThePlainPortIsRefused', async () => {
    await scene.settle();
    await assert.rejects(openTls(scene.server.port, { authority }));
    const connection = await scene.raw(hello, scene.server.port);
    await connection.waitForClose();
    assert.match(connection.text, /^HTTP\/1\.1 400 /);
    await scene.end({});
  });

  test('ClientThatDoesNotTrustTheCertificateIsCounted', async () => {
    await scene.settle();
    const stranger = new Authority();
    try {
      for (const version of ['-tls1_3', '-tls1_2']) {
        const client = await askWithSClient(scene.server.tlsPort, [version, '-CAfile', stranger.file, '-verify_return_error']);
        assert.match(client.err, /verify failed/);
      }
    } finally {
      stranger.remove();
    }
    await scene.end({ 'refused-by-client': 2 });
  });

  test('ChangedFinishedIsRefused', async () => {
    await scene.settle();
    for (const version of ['TLSv1.3', 'TLSv1.2']) {
      // Under TLS 1.2 it is the handshake record behind ChangeCipherSpec.
      let changing = version === 'TLSv1.3';
      const outgoing = (bytes) => {
        const isFinished = bytes[0] === kind.data || (changing && bytes[0] === kind.handshake && version === 'TLSv1.2');
        if (bytes[0] === kind.changeCipherSpec) changing = true;
        return [isFinished ? flip(Buffer.from(bytes), -1) : bytes];
      };
      const failure = await openTls(scene.server.tlsPort, { authority, version, line: { outgoing } }).then(
        async (connection) => {
          await connection.waitForClose();
          return connection.error;
        },
        (error) => error,
      );
      assert.match(failure?.code ?? '', /BAD_RECORD_MAC|DECRYPT_ERROR/, version);
    }
    await scene.end({ protocol: 2 });
  });

  /** Breaks one open connection after the other in each way; `open` makes them. */
  async function breakByHand(open, withoutAlert = []) {
    for (const [name, [make, alert]] of Object.entries(byHand)) {
      const connection = await open();
      const writer = connection.takeOver();
      connection.line.inject(Buffer.concat([make(writer)].flat()));
      if (alert && !withoutAlert.includes(name)) await assertAlert(connection, alert, name);
      else await until(() => connection.closed || connection.ended, `${name}: the end`);
      assert.ok(connection.line.isOver, `${name}: the connection ends`);
      connection.close();
      await scene.stillServes({ newcomer: false });
    }
  }

  test('RecordsThatMayNotComeEndARequestWithAnAlert', async () => {
    await scene.settle();
    await breakByHand(async () => {
      const connection = await scene.tls({ version: 'TLSv1.3' });
      connection.write('GET /ev');
      return connection;
    });
    await scene.end({ protocol: Object.keys(byHand).length - 1, 'refused-by-client': 1 });
  });

  for (const record_layer of ['own', 'openssl']) {
    test(`RecordsThatMayNotComeEndAStreamWithAnAlert, record layer ${record_layer}`, async () => {
      if (record_layer === 'openssl') await sceneWith({ tls: { record_layer } });
      await scene.settle();
      const name = 'ringcast_streams_ended_tls_total';
      const ended = await scene.server.metric(name);
      const openedOnes = [];
      await breakByHand(async () => {
        const stream = await scene.stream({ version: 'TLSv1.3' });
        openedOnes.push(stream);
        return stream.connection;
        // A stream has no use for a long record, so OpenSSL never sees the whole of it.
      }, record_layer === 'openssl' ? ['content that is too long'] : []);
      for (const stream of openedOnes) assert.equal(stream.failure, null, 'what it had read before is right');
      const counted = (await scene.server.metric(name)) - ended;
      // An alert of the client itself may be taken for its end.
      assert.ok([openedOnes.length - 1, openedOnes.length].includes(counted), `${counted} of ${openedOnes.length}`);
      await scene.end();
    });
  }

  test('KeyUpdatesInReasonAreFollowedAndAnswered', async () => {
    for (const record_layer of ['own', 'openssl']) {
      await sceneWith({ tls: { record_layer } });
      await scene.settle();
      const stream = await scene.stream({ version: 'TLSv1.3' });
      const writer = stream.connection.takeOver();
      for (let round = 0; round < 20; ++round) {
        for (let i = 0; i < 3; ++i) stream.connection.line.inject(writer.keyUpdate(round % 2 === 0));
        const id = await scene.server.publish({ data: `round ${round}` });
        await stream.waitFor((block) => block.id === id, `round ${round}`);
      }
      stream.connection.line.inject(writer.alert(alerts.closeNotify));
      await stream.until(() => stream.connection.ended, 'close_notify is answered');
      await scene.end();
    }
  });

  for (const [layer, { record_layer, version }] of Object.entries(layers)) {
    test(`SomebodyInTheMiddleEndsTheConnectionAndNoMore, ${layer}`, async () => {
      if (scene.server.config.tls.record_layer !== record_layer) await sceneWith({ tls: { record_layer } });
      await scene.settle();
      for (const [name, change] of Object.entries(meddling)) {
        const meddle = meddlerFrom(change);
        const asking = await scene.tls({ version });
        meddle(asking.line);
        asking.write(request.slice(0, 10));
        await sleep(5);
        asking.write(request.slice(10));
        await until(() => asking.closed || asking.ended, `${name} in a request: the end`);
        assert.match(asking.error?.code ?? '', /^ERR_SSL_/, `${name} in a request: an alert`);
        assert.ok(!/HTTP/.test(asking.text), `${name}: no answer to what was changed`);

        const stream = await scene.stream({ version });
        meddle(stream.connection.line);
        for (const text of ['more', 'and more']) {
          stream.connection.write(text);
          await sleep(5);
        }
        await stream.until(() => stream.connection.closed || stream.connection.ended, `${name} in a stream: the end`);
        await scene.stillServes({ newcomer: false });
      }
      await scene.end({ protocol: Object.keys(meddling).length });
    });
  }

  test('CloseNotifyHalfWayIsAnswered', async () => {
    await scene.settle();
    for (const version of ['TLSv1.3', 'TLSv1.2']) {
      for (const text of ['', 'GET /ev', `${publishHead}{"d`]) {
        const connection = await scene.tls({ version });
        if (text) connection.write(text);
        await sleep(5);
        connection.socket.end();
        await until(() => connection.line.isOver, 'the server closes too');
        connection.close();
      }
      const stream = await scene.stream({ version });
      stream.connection.socket.end();
      await stream.until(() => stream.connection.ended, 'close_notify is answered');
      await stream.until(() => stream.connection.line.isOver, 'and the connection ends');
    }
    await scene.end({});
  });

  test('CutAnywhereFreesEverything', async () => {
    await scene.settle();
    const roll = random(Number(process.env.RINGCAST_SEED ?? 11));
    const texts = [request, 'GET /events HTTP/1.1\r\nHost: a\r\n\r\n', `${publishHead}{"data":"x"}`];
    for (let i = 0; i < 60; ++i) {
      const version = roll() < 0.5 ? 'TLSv1.3' : 'TLSv1.2';
      const text = texts[Math.floor(roll() * texts.length)];
      const left = Math.floor(roll() * 4);
      // The client's bytes stop somewhere: in the hello, in its Finished, or in the request.
      let budget = left === 0 ? 2000 : Math.floor(roll() * (left === 1 ? 400 : 900));
      const outgoing = (bytes) => {
        const part = bytes.subarray(0, Math.max(0, budget));
        budget -= bytes.length;
        return [part];
      };
      const opening = openTls(scene.server.tlsPort, { authority, version, line: { outgoing } });
      const connection = await Promise.race([opening, sleep(30)]).catch(() => null);
      connection?.write(text);
      if (roll() < 0.5) await sleep(3);
      if (connection) roll() < 0.5 ? connection.reset() : connection.close();
      else opening.then((late) => late.reset(), () => {}); // the server gives it up
    }
    await scene.end();
  });

  test('ClientThatStoppedReadingIsForgottenHoweverItLeaves', async () => {
    await scene.settle();
    const leaving = {
      'by close_notify': (connection, writer) => connection.line.inject(writer.alert(alerts.closeNotify)),
      'by an alert': (connection, writer) => connection.line.inject(writer.alert(alerts.handshakeFailure)),
      'by a bad record': (connection, writer) => connection.line.inject(flip(writer.seal(kind.data, 'x'), -1)),
      'by a flood of key updates': (connection, writer) => connection.line.inject(Buffer.concat(Array.from({ length: 200 }, () => writer.keyUpdate(true)))),
      'by FIN': (connection) => connection.line.halfClose(),
      'by a reset': (connection) => connection.line.reset(),
    };
    const stopped = [];
    for (const leave of Object.values(leaving)) {
      const { connection } = await scene.stream({ version: 'TLSv1.3' });
      const writer = connection.takeOver();
      connection.line.stop();
      stopped.push(() => leave(connection, writer));
    }
    const data = 'b'.repeat(60_000);
    const ids = [];
    while ((await scene.server.metric('ringcast_streams_blocked')) < stopped.length) {
      for (let i = 0; i < 10; ++i) ids.push(await scene.server.publish({ data }));
      assert.ok(ids.length < 400, 'their sockets get full');
    }
    stopped.forEach((leave) => leave());
    await until(async () => (await scene.server.metric('ringcast_streams_open')) === 1, 'all of them are gone, though none reads');
    assert.equal(await scene.server.metric('ringcast_streams_blocked'), 0);
    await scene.witness.waitFor((block) => block.id === ids.at(-1));
    await scene.end();
  });

  test('DrainDoesNotWaitForHalfHandshakes', async () => {
    await sceneWith({ tls: { handshake_seconds: 30 } });
    for (const bytes of [null, hello.subarray(0, 60), hello]) await scene.raw(bytes);
    await until(async () => (await scene.server.metric('ringcast_tls_handshakes_open')) === 2, 'handshakes are under way');
    const begin = performance.now();
    scene.server.signal('SIGTERM');
    await scene.server.exited;
    assert.ok(performance.now() - begin < 4000 * patience, `it took ${performance.now() - begin} ms`);
    await scene.witness.until(() => scene.witness.connection.ended, 'close_notify for the one who listens');
    await sceneWith();
  });

  test('RenegotiationIsRefused', async () => {
    await scene.settle();
    const args = ['-tls1_2', '-CAfile', authority.file];
    for (const asksFirst of [false, true]) {
      const client = sClient(scene.server.tlsPort, args);
      await client.waitFor(/Verify return code: 0/);
      if (asksFirst) {
        client.say('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await client.waitFor(/event: heartbeat/);
      }
      client.say('R\n');
      await client.end();
      assert.match(client.err, /RENEGOTIATING[^]*error/);
      await scene.stillServes({ newcomer: false });
    }
    await scene.end();
  });

  test('EarlyDataIsNotOfferedAndNotTaken', async () => {
    await scene.settle();
    const session = authority.at('session.pem');
    const args = ['-tls1_3', '-CAfile', authority.file];
    await askWithSClient(scene.server.tlsPort, [...args, '-sess_out', session]);
    assert.ok(fs.existsSync(session), 'there is a ticket');
    const again = await askWithSClient(scene.server.tlsPort, [...args, '-sess_in', session]);
    assert.match(again.out, /Reused, TLSv1\.3/);
    assert.match(again.out, /Early data was not sent/);
    assert.match(again.out, /Max Early Data: 0\b/);
    // Asked for all the same, without a ticket: what is sent so is skipped, and nothing answers it.
    const eager = await scene.raw(Buffer.concat([withExtension(42), record(kind.data, Buffer.alloc(200, 7))]));
    await eager.waitForClose(4000);
    assert.ok(isHello(eager) || alertIn(eager) !== null);
    eager.close();
    await scene.end();
  });

  test('FloodOfHalfHandshakesKeepsOthersOutForAMomentOnly', async () => {
    await sceneWith({ tls: { handshakes_max: 8, handshake_seconds: 30 }, config: { server: { shards: 1 } } });
    await scene.settle();
    const flood = [];
    for (let i = 0; i < 20; ++i) flood.push(await scene.raw(i % 2 ? hello : hello.subarray(0, 60)));
    const opensAt = performance.now();
    let open = false;
    const newcomer = scene.stream().then((stream) => {
      open = true;
      return stream;
    });
    let slowest = 0;
    let most = 0;
    while (!open && performance.now() - opensAt < 40_000) {
      const begin = performance.now();
      await scene.stillServes({ newcomer: false });
      slowest = Math.max(slowest, performance.now() - begin);
      most = Math.max(most, await scene.server.metric('ringcast_tls_handshakes_open'));
      await sleep(20);
    }
    const stream = await newcomer;
    assert.ok(slowest < 2000 * patience, `an event took ${slowest} ms to a stream`);
    assert.ok(most > 0 && most <= 8, `${most} handshakes at a time`);
    assert.ok(performance.now() - opensAt < 25_000 * patience, 'nobody gets in');
    const id = await scene.server.publish({ data: 'for the newcomer' });
    await stream.waitFor((block) => block.id === id);
    flood.forEach((connection) => connection.close());
    await scene.end();
  });
});
