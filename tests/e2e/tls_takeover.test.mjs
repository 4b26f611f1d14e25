// How a connection under TLS becomes a stream: whatever is on its way at that moment arrives once, in both directions.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { describeInEachMode, random, sharedServer, sleep, until } from './harness.mjs';
import { assertEndedWell, Authority, certificatesOf, layers, openTls, openTlsStream, sClient, startTls } from './tls.mjs';
import { kind } from './tls_records.mjs';
import { Stream } from './wire.mjs';

const authority = new Authority();
const pair = authority.issue('server');
after(() => authority.remove());

const head = 'GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n';
const lost = 'GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n';
const publish = (data) => {
  const body = JSON.stringify({ data });
  return `POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
};

for (const record_layer of ['own', 'openssl']) {
  describeInEachMode(`taking over, record layer ${record_layer}`, (descriptors) => {
    const shared = sharedServer({ descriptors, config: { tls: { listen: ['127.0.0.1:0'], ...certificatesOf([pair]), record_layer } } });
    const server = () => shared.server;

    /** A stream whose client's records `speak` writes: (writer, send) → nothing. */
    async function byHand(speak, options = {}) {
      let writer;
      let speaking;
      const stream = await Stream.open(server(), {
        connect: async () => {
          const connection = await openTls(server().tlsPort, { authority, version: 'TLSv1.3', ...options });
          writer = connection.takeOver();
          speaking = speak(writer, (bytes) => connection.line.inject(bytes));
          return connection;
        },
      });
      await speaking;
      return { stream, writer };
    }

    async function assertGoesOn(stream) {
      for (const size of [1, 40_000]) {
        const id = await server().publish({ data: 'x'.repeat(size) });
        await stream.waitFor((block) => block.id === id && block.data.length === size, 'an event on the stream');
      }
      stream.close();
    }

    test('RecordsAroundTheRequestMayBeCutAnywhere', async () => {
      const roll = random(Number(process.env.RINGCAST_SEED ?? 5));
      for (let round = 0; round < 25; ++round) {
        const ciphers = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'][round % 3];
        const { stream, writer } = await byHand(async (w, send) => {
          const parts = [];
          if (roll() < 0.3) parts.push(w.keyUpdate(roll() < 0.5));
          const cut = Math.floor(roll() * head.length);
          parts.push(w.seal(kind.data, head.slice(0, cut), { padding: Math.floor(roll() * 50) }), w.seal(kind.data, head.slice(cut)));
          for (let n = Math.floor(roll() * 3); n > 0; --n) parts.push(w.keyUpdate(roll() < 0.5));
          const bytes = Buffer.concat(parts);
          for (let at = 0; at < bytes.length; ) {
            const end = Math.min(bytes.length, at + 1 + Math.floor(roll() * bytes.length));
            send(bytes.subarray(at, end));
            at = end;
            await sleep(roll() < 0.5 ? 4 : 0);
          }
        }, { ciphers });
        stream.connection.line.inject(writer.keyUpdate(true));
        await assertGoesOn(stream);
      }
      assert.equal(await server().metric('ringcast_streams_ended_tls_total'), 0);
    });

    test('HalfARecordBehindTheRequestIsKept', async () => {
      for (const size of [1, 4, 5, 6, 20, 26]) {
        let rest;
        const { stream } = await byHand((w, send) => {
          const bytes = Buffer.concat([w.seal(kind.data, head), w.keyUpdate(true)]);
          const cut = bytes.length - 27 + size;
          rest = bytes.subarray(cut);
          send(bytes.subarray(0, cut));
        });
        const id = await server().publish({ data: 'while half a record waits' });
        await stream.waitFor((block) => block.id === id);
        stream.connection.line.inject(rest);
        await assertGoesOn(stream);
      }
      assert.equal(await server().metric('ringcast_streams_ended_tls_total'), 0);
    });

    test('PipelinedRequestsAreAnsweredBeforeTheStreamBegins', async () => {
      const connection = await openTls(server().tlsPort, { authority });
      connection.write(lost + publish('pipelined') + lost + head);
      for (const status of [404, 204, 404]) assert.equal((await connection.answer()).status, status);
      await connection.waitFor(/^HTTP\/1\.1 200 [^]*event: heartbeat/);
      const id = await server().publish({ data: 'x'.repeat(40_000) });
      await connection.waitFor(new RegExp(`id: ${id}\ndata: x{40000}\n\n`));
      connection.close();
    });

    test('RequestsInTheSmallestRecordsAreUnderstood', async () => {
      const connection = await openTls(server().tlsPort, { authority, version: 'TLSv1.3' });
      const writer = connection.takeOver();
      const records = [];
      for (const byte of publish('byte by byte')) records.push(writer.seal(kind.data, byte, { padding: 3 }), writer.seal(kind.data, ''));
      connection.line.inject(Buffer.concat(records));
      assert.equal((await connection.answer()).status, 204);
      connection.close();
    });

    test('BlockedStreamFollowsChangesOfKeys', async () => {
      const { stream, writer } = await byHand((w, send) => send(w.seal(kind.data, head)));
      await stream.waitFor((block) => block.event === 'heartbeat');
      const { line } = stream.connection;
      line.stopInNextRecord(9);
      const ids = [];
      while ((await server().metric('ringcast_streams_blocked')) === 0) {
        for (let i = 0; i < 20; ++i) ids.push(await server().publish({ data: `${ids.length} ${'k'.repeat(50_000)}` }));
        assert.ok(ids.length < 400, 'its socket gets full');
      }
      for (let i = 0; i < 20; ++i) {
        line.inject(writer.keyUpdate(i % 2 === 0));
        ids.push(await server().publish({ data: `${ids.length} between changes` }));
      }
      line.go();
      await stream.waitFor((block) => block.id === ids.at(-1), 'the last event', 10_000);
      assert.deepEqual(stream.events.map((event) => event.id), ids);
      assert.ok(stream.events.every((event, i) => event.data.startsWith(`${i} `)));
      await assertGoesOn(stream);
    });

    test('AfterARetriedHelloAndWithoutMiddleboxesItIsTheSame', async () => {
      const args = [['-groups', 'secp521r1:X25519'], ['-groups', 'P-384:P-256', '-no_middlebox'], ['-no_ticket'], ['-record_padding', '512']];
      for (const more of args) {
        const client = sClient(server().tlsPort, ['-quiet', '-tls1_3', '-CAfile', authority.file, '-verify_return_error', ...more]);
        client.say(head);
        await client.waitFor(/event: heartbeat/);
        const id = await server().publish({ data: 'z'.repeat(30_000) });
        await client.waitFor(new RegExp(`id: ${id}\ndata: z{30000}\n\n`));
        await client.stop();
      }
    });
  });
}

describeInEachMode('answers over TLS', (descriptors) => {
  test('PageIsWholeForAClientThatReadsSingleBytes', async () => {
    const server = await startTls([pair], { descriptors });
    try {
      const read = async (options) => {
        const connection = await openTls(server.tlsPort, { authority, ...options });
        connection.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        const answer = await connection.answer(10_000);
        await until(() => connection.ended, 'close_notify after the last answer');
        assert.equal(answer.status, 200);
        connection.close();
        return answer.text;
      };
      const page = await read();
      for (const version of ['TLSv1.3', 'TLSv1.2']) assert.equal(await read({ version, line: { step: 1 } }), page);
    } finally {
      await server.stop();
    }
  });

  test('RefusalsAndIdleConnectionsEndWithCloseNotify', async () => {
    const config = { limits: { streams_per_address: 1, header_seconds: 1 } };
    const endsWell = async ({ record_layer, version }) => {
      const server = await startTls([pair], { descriptors, config: { ...config, tls: { record_layer } } });
      try {
        const idle = await openTls(server.tlsPort, { authority, version });
        const first = await openTlsStream(server, { authority, version });
        const second = await openTlsStream(server, { authority, version });
        await assertEndedWell(second);
        assert.equal(second.blocks.at(-1).event, 'refused');
        await until(() => idle.ended || idle.closed, 'an idle connection ends');
        assert.ok(idle.ended, `by close_notify, ${idle.error}`);
        [idle, first.connection, second.connection].forEach((connection) => connection.close());
      } finally {
        await server.stop();
      }
    };
    await Promise.all(Object.values(layers).map(endsWell));
  });
});
