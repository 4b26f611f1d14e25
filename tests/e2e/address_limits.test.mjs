// Limits for each address and each user: each bites at its number, for whom it is meant, and lets go again.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeInEachMode, errorOf, request, Server, sleep, until } from './harness.mjs';
import { browser, open, program, refused, Visits } from './visitors.mjs';
import { Connection, Stream } from './wire.mjs';

const tooManyStreams = 'too many streams from your address';
const tooManyConnections = 'too many new connections from your address';

describeInEachMode('limits of addresses and users', (descriptors) => {
  async function withServer(config, body) {
    const server = await Server.start({ descriptors, config });
    const visits = new Visits(server);
    try {
      await body(server, visits);
    } finally {
      visits.closeAll();
      await server.stop();
    }
  }

  // ------------------------------------------------------------------------- streams_per_address
  test('ExactlyTheAllowedStreamsOfAnAddressAreOpenOverAllShards', () =>
    withServer({ limits: { streams_per_address: 16 } }, async (server, visits) => {
      const first = [];
      for (let i = 0; i < 4; ++i) first.push(...(await visits.many(10, { headers: program })));
      assert.equal(open(first).length, 16);
      refused(first).forEach((visit) => assert.equal(visit.assertStatus(429), tooManyStreams));
      const { text } = await request(`${server.adminUrl}/metrics`);
      const shards = [...text.matchAll(/^ringcast_streams_open\{.*\} (\d+)$/gm)].map((match) => Number(match[1]));
      assert.equal(shards.length, 2);
      assert.ok(shards.every((count) => count > 0), `${shards} streams of the shards`);
      assert.equal(shards[0] + shards[1], 16);

      // Others are none of its business; the one who is over stays over.
      assert.equal(open(await visits.many(20, { headers: program, from: '127.0.0.2' })).length, 16);
      assert.equal(open(await visits.many(3, { headers: program })).length, 0);

      // A place is free when a stream ends, however it ends: one, and not two.
      const [gone, reset] = open(first);
      for (const end of [() => gone.close(), () => reset.connection.reset()]) {
        end();
        await visits.openInTheEnd({ headers: program }, 'the place that became free');
        assert.equal(open(await visits.many(3, { headers: program })).length, 0);
      }
      assert.equal(open(await visits.many(3, { headers: program, from: '127.0.0.2' })).length, 0);
      const id = await server.publish({ data: 'to those who are in' });
      await Promise.all(open(first).slice(2).map((visit) => visit.waitFor((block) => block.id === id)));
    }));

  test('RequestThatDoesNotBecomeAStreamTakesNoPlace', () =>
    withServer({ limits: { streams_per_address: 1 } }, async (server, visits) => {
      for (const path of ['/events?topic=', '/events?topic=%zz', `/events?last_event_id=${'1'.repeat(65)}`]) {
        assert.equal((await visits.open({ path })).status, 400);
      }
      assert.ok((await visits.open()).isStream);
      assert.ok(!(await visits.open()).isStream);
    }));

  test('StreamThatIsEndedForSlownessFreesItsPlace', () =>
    withServer({ limits: { streams_per_address: 1 }, history: { events: 64, bytes: '2MiB' } }, async (server, visits) => {
      const stuck = await visits.open();
      stuck.connection.socket.pause();
      assert.ok(!(await visits.open()).isStream);
      await until(async () => {
        await Promise.all(Array.from({ length: 20 }, () => server.publish({ data: 'x'.repeat(60_000) })));
        return (await server.metric('ringcast_streams_ended_slow_total')) === 1;
      }, 'it is given up', 15_000);
      await visits.openInTheEnd({}, 'the place of the slow one');
      assert.ok(!(await visits.open()).isStream);
    }));

  test('StreamThatIsEndedBySigningOutOrExpiryFreesItsPlace', () =>
    withServer({ auth: { leeway_seconds: 0 }, limits: { streams_per_address: 1 } }, async (server, visits) => {
      const headers = server.bearer('ann', { jti: 'one' });
      const options = { headers: { ...browser, ...server.bearer('ann', { exp: Math.floor(Date.now() / 1000) + 2 }) } };
      assert.ok((await visits.open({ headers: { ...browser, ...headers } })).isStream);
      assert.ok(!(await visits.open(options)).isStream);
      assert.equal((await request(`${server.url}/logout`, { method: 'POST', headers, body: '' })).status, 204);
      const second = await visits.openInTheEnd(options, 'the place of the one who signed out');
      await second.waitFor((block) => block.event === 'closing');
      await visits.openInTheEnd({ headers: { ...browser, ...server.bearer('ann') } }, 'the place of the one that expired');
    }));

  // -------------------------------------------------------------- connect_per_second_per_address
  test('ConnectionsOfAnAddressOverItsRateAreRefusedAndLaterTaken', () =>
    withServer({ limits: { connect_per_second_per_address: 4 } }, async (server, visits) => {
      const begin = performance.now();
      const first = await visits.many(20, { headers: program, from: '127.0.0.2' });
      const most = 4 + Math.floor(((performance.now() - begin) / 1000) * 4) + 1;
      assert.ok(open(first).length >= 4 && open(first).length <= most, `${open(first).length} of 20, at most ${most}`);
      refused(first).forEach((visit) => assert.equal(visit.assertStatus(429), tooManyConnections));
      assert.ok((await visits.open({ from: '127.0.0.3' })).isStream, 'another address');

      await sleep(Number(refused(first)[0].headers['retry-after']) * 1000);
      const later = await visits.many(4, { headers: program, from: '127.0.0.2' });
      assert.equal(open(later).length, 4, 'the limit has recovered');
    }));

  test('RequestsOnAConnectionThatWasTakenAreNotCountedAsConnections', () =>
    withServer({ limits: { connect_per_second_per_address: 1 } }, async (server) => {
      const begin = performance.now();
      const kept = await Connection.open(server.port, { localAddress: '127.0.0.2' });
      for (let i = 0; i < 10; ++i) {
        kept.write('GET /session HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await kept.answer()).status, 200);
      }
      const other = await Connection.open(server.port, { localAddress: '127.0.0.2' });
      other.write('GET /session HTTP/1.1\r\nHost: a\r\n\r\n');
      const { status } = await other.answer();
      if (performance.now() - begin < 1000) assert.equal(status, 429, 'a second connection within the second');
      kept.close();
      other.close();
    }));

  // ----------------------------------------------------------------- publish_per_second_per_user
  const publishAs = (server, headers) => server.post({ data: 'x' }, { 'Content-Type': 'application/json', ...headers });

  async function assertPublishRate(server, limit, headers, others) {
    const begin = performance.now();
    const answers = await Promise.all(Array.from({ length: limit * 5 }, () => publishAs(server, headers)));
    const most = limit + Math.floor(((performance.now() - begin) / 1000) * limit) + 1;
    const taken = answers.filter((answer) => answer.status === 204).length;
    assert.ok(taken >= limit && taken <= most, `${taken} of ${answers.length}, at most ${most}`);
    const over = answers.filter((answer) => answer.status !== 204);
    for (const answer of over) {
      assert.equal(answer.status, 429);
      assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
      assert.equal(errorOf(answer), 'you publish too fast');
    }
    for (const other of others) assert.equal((await publishAs(server, other)).status, 204);
    await sleep(Number(over.at(-1).headers['retry-after']) * 1000);
    assert.equal((await publishAs(server, headers)).status, 204, 'the limit has recovered');
  }

  test('PublishesOfAUserOverItsRateAreRefusedWithTheTimeToWait', () =>
    withServer(
      { auth: {}, limits: { publish_per_second_per_user: 4 }, 'auth.grants."*"': { publish: ['*'] } },
      async (server) => {
        await assertPublishRate(server, 4, server.bearer('ann'), [server.bearer('bob'), server.bearer('Ann')]);
        // It is the user who is counted, whatever token is shown, and only those who are signed in.
        await Promise.all(Array.from({ length: 8 }, () => publishAs(server, server.bearer('eve'))));
        assert.equal((await publishAs(server, server.bearer('eve', { jti: 'another' }))).status, 429);
        for (let i = 0; i < 8; ++i) assert.equal((await publishAs(server, {})).status, 401);
        assert.ok((await server.metric('ringcast_limited_total')) > 0);
      },
    ));

  test('AnonymousPublishersAreCountedByAddress', () =>
    withServer({ server: { trusted_proxies: ['127.0.0.1'] }, limits: { publish_per_second_per_user: 4 } }, async (server) => {
      const via = (address) => ({ 'X-Forwarded-For': address });
      await assertPublishRate(server, 4, via('192.0.2.1'), [via('192.0.2.2'), via('2001:db8::1'), {}]);
    }));

  // --------------------------------------------------------------------------- the kind of refusal
  test('RefusalIsWhatTheClientCanUseAndPagesOfAllowedOriginsCanReadIt', async () => {
    const origin = 'https://app.example.com';
    const cors = { allow_origins: [origin] };
    const limits = [
      [{ streams_per_address: 1 }, tooManyStreams],
      [{ connect_per_second_per_address: 1 }, tooManyConnections],
    ];
    for (const [limit, reason] of limits) {
      for (const refusal of ['auto', 'status', 'retry']) {
        await withServer({ cors, limits: { ...limit, refusal } }, async (server, visits) => {
          const ask = async (headers) => {
            const asked = await visits.many(8, { headers: { ...headers, Origin: origin }, from: '127.0.0.2' });
            assert.ok(refused(asked).length >= 5, `${refused(asked).length} of 8 were refused`);
            return refused(asked);
          };
          for (const [headers, safe] of [[browser, refusal !== 'status'], [program, refusal === 'retry']]) {
            for (const visit of await ask(headers)) {
              assert.equal(visit.headers['access-control-allow-origin'], origin);
              assert.equal(visit.headers['access-control-allow-credentials'], 'true');
              assert.match(visit.headers.vary ?? '', /origin/i);
              assert.equal(safe ? await visit.assertSafe() : visit.assertStatus(429), reason);
            }
          }
        });
      }
    }
  });

  // ------------------------------------------------------------------------------ X-Forwarded-For
  const forwarded = (value) => ({ headers: { ...browser, 'X-Forwarded-For': value } });

  test('ForwardedAddressOfSomebodyWhoIsNoTrustedProxyIsIgnored', () =>
    withServer({ server: { trusted_proxies: ['127.0.0.9'] }, limits: { streams_per_address: 1 } }, async (server, visits) => {
      assert.ok((await visits.open(forwarded('192.0.2.1'))).isStream);
      assert.ok(!(await visits.open(forwarded('192.0.2.2'))).isStream, 'it makes itself another');
      assert.ok(!(await visits.open(forwarded('127.0.0.9'))).isStream);
      assert.ok((await visits.open({ ...forwarded('192.0.2.1'), from: '127.0.0.9' })).isStream, 'the proxy itself');
      assert.ok((await visits.open({ ...forwarded('192.0.2.2'), from: '127.0.0.9' })).isStream);
      assert.ok(!(await visits.open({ ...forwarded('192.0.2.2'), from: '127.0.0.9' })).isStream);
    }));

  test('AddressBeforeTheTrustedHopsCounts', () =>
    withServer(
      { server: { trusted_proxies: ['127.0.0.1', '10.0.0.0/8'] }, limits: { streams_per_address: 1 } },
      async (server, visits) => {
        const takes = async (value) => assert.ok((await visits.open(forwarded(value))).isStream, `${value} takes the place`);
        const isOver = async (value) => assert.ok(!(await visits.open(forwarded(value))).isStream, `${value} is over`);

        await takes('192.0.2.1');
        await isOver('192.0.2.1');
        await isOver('192.0.2.1, 10.1.1.1');
        await isOver('192.0.2.1,10.1.1.1 , 10.2.2.2');
        await isOver(['192.0.2.1', '10.1.1.1']); // two header lines are one list
        await isOver('198.51.100.7, 192.0.2.1, 10.1.1.1'); // in front stands what the client made up
        await isOver('10.9.9.9, 192.0.2.1');
        await isOver('::ffff:192.0.2.1');
        await takes('198.51.100.7');

        // What is no address ends the search: the hop that passed it on counts.
        await takes('unknown, 10.1.1.1');
        await isOver('192.0.2.9:1234, 10.1.1.1');
        await isOver('192.0.2.999, 10.1.1.1');
        await takes('unknown');
        for (const garbage of ['192.0.2.9:80', '"[2001:db8::1]"', '::', '0x7f.1', '192.0.2', ',', 'a'.repeat(1000)]) await isOver(garbage);
        await isOver('192.0.2.9, ');
        await takes('192.0.2.9');
      },
    ));

  test('AddressesOfOneIpv6NetworkCountTogether', () =>
    withServer(
      { server: { listen: ['127.0.0.1:0', '[::1]:0'], trusted_proxies: ['127.0.0.1'] }, limits: { streams_per_address: 2 } },
      async (server, visits) => {
        assert.ok((await visits.open(forwarded('2001:db8:1:2::1'))).isStream);
        assert.ok((await visits.open(forwarded('2001:db8:1:2:ffff:ffff:ffff:ffff'))).isStream);
        assert.ok(!(await visits.open(forwarded('2001:DB8:1:2:0:0:0:3'))).isStream, 'the third of one /64');
        assert.ok((await visits.open(forwarded('2001:db8:1:3::1'))).isStream, 'another /64');

        const port = await until(() => /listening on http:\/\/\[::1\]:(\d+)/.exec(server.output)?.[1], 'the address of IPv6');
        const direct = { to: '::1', port: Number(port) };
        assert.equal(open(await visits.many(5, direct)).length, 2);
        assert.ok(!(await visits.open({ ...direct, ...forwarded('2001:db8:1:4::1') })).isStream, 'no trusted proxy');
        assert.ok((await visits.open()).isStream, '127.0.0.1 is another');
      },
    ));

  test('BehindAProxyTheOpenedStreamsAreCountedAndNotItsConnections', () =>
    withServer(
      { server: { trusted_proxies: ['127.0.0.1'] }, limits: { connect_per_second_per_address: 2 } },
      async (server, visits) => {
        const idle = await Promise.all(Array.from({ length: 20 }, () => Connection.open(server.port)));
        const others = await Promise.all(Array.from({ length: 20 }, (_, i) => visits.open(forwarded(`192.0.2.${i + 100}`))));
        assert.equal(open(others).length, 20);
        const begin = performance.now();
        const asked = await visits.many(12, forwarded('192.0.2.1'));
        const most = 2 + Math.floor(((performance.now() - begin) / 1000) * 2) + 1;
        assert.ok(open(asked).length >= 2 && open(asked).length <= most, `${open(asked).length} of 12, at most ${most}`);
        await sleep(1100);
        assert.ok((await visits.open(forwarded('192.0.2.1'))).isStream, 'the limit has recovered');
        idle.forEach((connection) => connection.close());
      },
    ));

  // The table of addresses holds 65,536 that have no streams.
  test('FloodOfAddressesDoesNotPushOutThoseWithOpenStreams', () =>
    withServer(
      { server: { trusted_proxies: ['127.0.0.1'] }, limits: { streams_per_address: 2, connect_per_second_per_address: 100 } },
      async (server, visits) => {
        assert.equal(open(await visits.many(3, forwarded('192.0.2.1'))).length, 2);
        const flood = 80_000;
        const connections = 4;
        const batch = 250;
        await Promise.all(
          Array.from({ length: connections }, async (_, which) => {
            const connection = await Connection.open(server.port);
            let answers = 0;
            let rest = '';
            connection.onBytes = (part) => {
              connection.parts.length = 0; // nobody looks at them twice
              const pieces = (rest + part.toString('latin1')).split('HTTP/1.1 400 ');
              answers += pieces.length - 1;
              rest = pieces.at(-1).slice(-12); // a status line may come in two parts
            };
            for (let sent = 0; sent < flood / connections; sent += batch) {
              let bytes = '';
              for (let i = 0; i < batch; ++i) {
                const n = which * (flood / connections) + sent + i;
                const address = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
                bytes += `GET /events?topic= HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${address}\r\n\r\n`;
              }
              connection.write(bytes);
              await until(() => answers === sent + batch, () => `${answers} of ${sent + batch} answers`);
            }
            connection.close();
          }),
        );
        assert.equal(open(await visits.many(2, forwarded('192.0.2.1'))).length, 0, 'its streams are still counted');
        open(visits.all)[0].close();
        await visits.openInTheEnd(forwarded('192.0.2.1'), 'the place that became free');
        assert.equal(open(await visits.many(2, forwarded('192.0.2.1'))).length, 0);
      },
    ));
});
