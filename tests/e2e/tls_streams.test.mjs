// All that clients read over TLS is what was published, however they read; and a stream that the server ends is
// ended so that a client knows it was not cut.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { describeInEachMode, patience, random, sleep, until } from './harness.mjs';
import { askWithSClient, assertEndedWell, Authority, layers, openTls, openTlsStream, sClient, startTls } from './tls.mjs';
import { DrippingReader, Published, Reader, SClientReader, StuckReader } from './tls_readers.mjs';

const authority = new Authority();
const pair = authority.issue('server');
after(() => authority.remove());

const topics = [undefined, 'a', 'b'];
// More than the kernel holds for one connection and the history together.
const bytesToPublish = 20 << 20;

describeInEachMode('streams over TLS', (descriptors) => {
  const runs = [
    ['own record layer', 'skip'],
    ...(descriptors === 'direct' ? [['own record layer', 'disconnect'], ['OpenSSL under TLS 1.3', 'skip'], ['OpenSSL under TLS 1.2', 'disconnect']] : []),
  ];
  for (const [layer, slow_consumer] of runs) {
    test(`EveryReaderGetsEachEventOnceOrIsToldOfAGap, ${layer}, ${slow_consumer}`, async () => {
      const seed = Number(process.env.RINGCAST_SEED ?? 20_261_121);
      const { record_layer, version, gauge } = layers[layer];
      const server = await startTls([pair], {
        descriptors,
        config: {
          server: { shards: 2 },
          tls: { record_layer },
          limits: { event_bytes: 262_144 },
          history: { events: 4096, bytes: '8MiB' },
          stream: { slow_consumer, retry_ms: 100, heartbeat_seconds: 1 },
        },
      });
      const published = new Published(server, random(seed), topics);
      const always = { server, authority, version, endsSlow: slow_consumer === 'disconnect' };
      const make = (Kind, number, topics) => new Kind({ ...always, topics, roll: random(seed + number) });
      const readers = [
        make(Reader, 1, ['a']), make(Reader, 2, ['a', 'b']), make(Reader, 3, ['b']), make(SClientReader, 4, ['b']),
        make(StuckReader, 5, ['a', 'b']), make(DrippingReader, 6, ['a', 'b']),
      ];
      try {
        for (const reader of readers) {
          reader.running = reader.run();
          reader.running.catch((error) => (reader.failure = error));
        }
        await until(() => readers.every((reader) => reader.stream), 'all are connected');
        assert.ok((await server.metric(gauge)) > 0, `streams are under the ${layer}`);
        let blocked = 0;
        while (published.bytes < bytesToPublish) {
          await published.one();
          const failed = readers.find((reader) => reader.failure);
          if (failed) throw failed.failure;
          if (published.events.length % 100 === 0) blocked = Math.max(blocked, await server.metric('ringcast_streams_blocked'));
        }
        await Promise.all(readers.map((reader) => reader.finish(published.events.at(-1).id)));
        const gaps = readers.map((reader) => reader.check(published));
        assert.ok(blocked > 0, 'some streams were blocked');
        assert.ok(gaps[4] > 0, 'the one that stopped was overtaken by the log');
        const slow = await server.metric('ringcast_streams_ended_slow_total');
        if (slow_consumer === 'skip') assert.equal(slow, 0);
        else assert.ok(slow > 0, 'slow streams are ended');
        await until(async () => (await server.metric('ringcast_streams_open')) === 0, 'all streams are gone');
        assert.equal(await server.metric('ringcast_tail_bytes'), 0);
        assert.equal(await server.metric(gauge), 0);
        assert.equal(await server.metric('ringcast_streams_ended_tls_total'), 0, 'nobody broke TLS');
      } catch (error) {
        error.message += ` (RINGCAST_SEED=${seed})`;
        throw error;
      } finally {
        for (const reader of readers) {
          reader.finishing = true;
          reader.stream?.connection.close();
          reader.program?.child.kill('SIGKILL');
        }
        await server.stop();
      }
    });
  }

  /** All at once: they mostly wait. */
  const onEachLayer = (body) => () =>
    Promise.all(
      Object.entries(layers).map(([layer, { record_layer, version }]) =>
        body({ record_layer, version, options: { authority, version } }).catch((error) => {
          error.message += ` (${layer})`;
          throw error;
        }),
      ),
    );

  test(
    'DrainEndsStreamsWithCloseNotify',
    onEachLayer(async ({ record_layer, version, options }) => {
      const server = await startTls([pair], { descriptors, config: { tls: { record_layer } } });
      const streams = await Promise.all(Array.from({ length: 10 }, () => openTlsStream(server, options)));
      const old = await openTlsStream(server, options, { version: '1.0' });
      const stopped = await openTlsStream(server, options);
      const flag = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
      const program = sClient(server.tlsPort, ['-quiet', flag, '-CAfile', authority.file, '-verify_return_error']);
      program.say('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await program.waitFor(/event: heartbeat/);
      const kept = await openTls(server.tlsPort, options);
      kept.write('GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.equal((await kept.answer()).status, 404);

      const ids = [];
      stopped.connection.line.stopInNextRecord(3);
      for (let i = 0; i < 30; ++i) ids.push(await server.publish({ data: `${i} ${'x'.repeat(10_000)}` }));
      server.signal('SIGTERM');
      await sleep(100);
      stopped.connection.line.go();
      for (const stream of [...streams, stopped]) {
        await assertEndedWell(stream);
        assert.deepEqual(stream.events.map((event) => event.id), ids);
        assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason: 'drain' });
      }
      await old.until(() => old.connection.ended, 'close_notify after HTTP/1.0');
      assert.equal(old.blocks.at(-1).event, 'closing');
      await until(() => kept.ended, 'close_notify on a kept connection');
      await program.end();
      assert.match(program.out, /event: closing[^]*\r\n0\r\n\r\n$/);
      assert.doesNotMatch(program.err, /error|unexpected eof/i);
      [...streams, old, stopped].forEach((stream) => stream.close());
      kept.close();
      await server.stop();
    }),
  );

  test(
    'ExpiredAndSignedOutStreamsEndWithCloseNotify',
    onEachLayer(async ({ record_layer, options }) => {
      const server = await startTls([pair], {
        descriptors,
        config: { tls: { record_layer }, auth: {}, 'auth.grants.ann': { subscribe: ['*'], publish: ['*'] } },
      });
      try {
        const exp = Math.floor(Date.now() / 1000) + 2;
        const expiring = await openTlsStream(server, options, { headers: server.bearer('ann', { exp }) });
        const token = server.token('ann');
        const leaving = await openTlsStream(server, options, { headers: { Cookie: `token=${token}` } });
        const asking = await openTls(server.tlsPort, options);
        asking.write(`POST /logout HTTP/1.1\r\nHost: localhost\r\nCookie: token=${token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        assert.equal((await asking.answer()).status, 204);
        await until(() => asking.ended, 'close_notify after the last answer');
        for (const [stream, reason] of [[leaving, 'signed-out'], [expiring, 'expired']]) {
          await assertEndedWell(stream);
          assert.deepEqual(JSON.parse(stream.blocks.at(-1).data), { reason });
          stream.close();
        }
        asking.close();
      } finally {
        await server.stop();
      }
    }),
  );

  test('CutIsToldFromAnEnd', async () => {
    const server = await startTls([pair], { descriptors });
    const stream = await openTlsStream(server, { authority });
    const program = sClient(server.tlsPort, ['-quiet', '-CAfile', authority.file]);
    program.say('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await program.waitFor(/event: heartbeat/);
    server.child.kill('SIGKILL');
    await program.end();
    assert.match(program.err, /unexpected eof|errno=104/, 's_client sees the difference');
    await stream.until(() => stream.connection.closed, 'the cut');
    assert.ok(stream.connection.cut, 'and so do these tests');
    await assert.rejects(assertEndedWell(stream));
    await server.exited;
  });

  test('ShortRecordsAreWrittenForThoseWhoAskForThem', async () => {
    // RFC 6066, 4: s_client asks for fragments of 512 bytes.
    for (const record_layer of ['own', 'openssl']) {
      const server = await startTls([pair], { descriptors, config: { tls: { record_layer } } });
      try {
        const client = sClient(server.tlsPort, ['-quiet', '-maxfraglen', '512', '-CAfile', authority.file], { encoding: 'latin1' });
        client.say('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await client.waitFor(/event: heartbeat/);
        assert.equal(await server.metric('ringcast_streams_tls_openssl'), 1, 'it keeps what knows the limit');
        const data = 'y'.repeat(5000);
        await server.publish({ data });
        await until(() => client.out.split('y').length > 5000, 'the whole event');
        await client.stop();
      } finally {
        await server.stop();
      }
    }
  });
});
