// What curl, an HTTP client of others, sees of the whole outward interface.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';

import { compareIds, describeInEachMode, errorOf, patience, sharedServer, until } from './harness.mjs';
import { StrictEventReader } from './wire.mjs';

const children = new Set();
after(() => children.forEach((child) => child.kill('SIGKILL')));

/** Starts curl; `out` grows with what it prints (`-i`: heads too). */
function curl(...args) {
  const child = spawn('curl', ['-sS', '-N', '-i', '--max-time', String(20 * patience), ...args]);
  children.add(child);
  const run = { child, out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (run.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (run.err += text));
  run.done = new Promise((resolve) =>
    child.on('close', (code) => {
      children.delete(child);
      resolve(code);
    }),
  );
  run.waitFor = (pattern, timeoutMs) =>
    until(() => pattern.exec(run.out), () => `${pattern} in ${JSON.stringify(run.out)} ${run.err}`, timeoutMs);
  run.stop = () => {
    child.kill('SIGTERM');
    return run.done;
  };
  return run;
}

/** A curl that ends by itself: the answer as {status, headers, text}. */
async function answer(...args) {
  const run = curl(...args);
  const code = await run.done;
  assert.equal(code, 0, run.err);
  const [, status, head, text] = /^(?:HTTP\/1\.1 100 [^]*?\r\n\r\n)?HTTP\/1\.[01] (\d+)[^\r]*\r\n([^]*?)\r\n\r\n([^]*)$/.exec(run.out);
  const headers = {};
  for (const line of head.split('\r\n')) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
  return { status: Number(status), headers, text, raw: run.out };
}

function blocks(out) {
  const read = [];
  const reader = new StrictEventReader((block) => read.push(block));
  reader.feed(Buffer.from(out.slice(out.indexOf('\r\n\r\n') + 4)));
  return read;
}

const json = ['-H', 'Content-Type: application/json'];

describeInEachMode('curl', (descriptors) => {
  const shared = sharedServer({ descriptors, config: { limits: { event_bytes: 4096 } } });
  const server = () => shared.server;

  test('StreamAnswersWithTheHeadersThatProxiesAndBrowsersNeed', async () => {
    const stream = curl(`${server().url}/events`);
    await stream.waitFor(/\r\n\r\n/);
    const head = stream.out.slice(0, stream.out.indexOf('\r\n\r\n') + 2);
    assert.match(head, /^HTTP\/1\.1 200 /);
    assert.match(head, /^Content-Type: text\/event-stream(; ?charset=utf-8)?\r$/im);
    assert.match(head, /^Cache-Control: no-cache\r$/im);
    assert.match(head, /^Connection: keep-alive\r$/im);
    assert.match(head, /^X-Accel-Buffering: no\r$/im);
    assert.match(head, /^Transfer-Encoding: chunked\r$/im);
    assert.doesNotMatch(head, /^Content-Length:/im);
    await stream.stop();
  });

  test('FirstBytesLeaveAtOnceWithRetryAndTheNewestPosition', async () => {
    const id = await server().publish({ data: 'before' });
    const begin = performance.now();
    const stream = curl(`${server().url}/events`);
    await stream.waitFor(/event: heartbeat\n[^]*?\n\n/);
    assert.ok(performance.now() - begin < 1500 * patience, 'the first bytes came late');
    const [first, ...others] = blocks(stream.out);
    const heartbeat = first.event === 'heartbeat' ? first : others[0];
    assert.equal(heartbeat.event, 'heartbeat');
    assert.equal(heartbeat.id, id);
    assert.equal(heartbeat.data, '');
    assert.equal(blocks(stream.out).find((block) => block.retry !== undefined)?.retry, 3000);
    assert.equal(blocks(stream.out).filter((block) => block.data === 'before').length, 0);
    await stream.stop();
  });

  test('PublishedEventArrivesWithIdTypeAndData', async () => {
    const stream = curl(`${server().url}/events`);
    await stream.waitFor(/event: heartbeat\n/);
    const published = await answer(...json, '-d', '{"event":"install","data":"a package","retry":5000}', `${server().url}/publish`);
    assert.equal(published.status, 204);
    assert.equal(published.text, '');
    assert.ok(!('content-length' in published.headers), 'a 204 has no Content-Length');
    await stream.waitFor(/data: a package\n\n/);
    const event = blocks(stream.out).at(-1);
    assert.deepEqual(event, { id: published.headers['event-id'], event: 'install', data: 'a package', retry: 5000 });
    await stream.stop();
  });

  test('IdsGrow', async () => {
    const ids = [];
    for (let i = 0; i < 20; ++i) ids.push(await server().publish({ data: `${i}` }));
    for (let i = 1; i < ids.length; ++i) assert.equal(compareIds(ids[i - 1], ids[i]), -1, `${ids[i - 1]} ${ids[i]}`);
  });

  test('JsonValuesArriveAsCompactJson', async () => {
    const stream = curl(`${server().url}/events`);
    await stream.waitFor(/event: heartbeat\n/);
    for (const [data, arrives] of [
      ['{ "b" : [ 1, 2.50 ,null ] , "a" : "x y" }', '{"b":[1,2.50,null],"a":"x y"}'],
      [' 12345678901234567890 ', '12345678901234567890'],
      ['true', 'true'],
      ['null', 'null'],
      ['[ ]', '[]'],
    ]) {
      const published = await answer(...json, '-d', `{"data":${data}}`, `${server().url}/publish`);
      assert.equal(published.status, 204, published.text);
      await stream.waitFor(new RegExp(`id: ${published.headers['event-id']}\n[^]*?\n\n`));
      assert.equal(blocks(stream.out).at(-1).data, arrives);
    }
    await stream.stop();
  });

  test('Http10GetsPlainBytesUntilTheConnectionCloses', async () => {
    const stream = curl('-0', `${server().url}/events`);
    await stream.waitFor(/event: heartbeat\n[^]*?\n\n/);
    assert.match(stream.out, /^Connection: close\r$/im);
    assert.doesNotMatch(stream.out, /^Transfer-Encoding:/im);
    await server().publish({ data: 'to the old world' });
    await stream.waitFor(/data: to the old world\n\n/);
    assert.ok(blocks(stream.out).length >= 2);
    await stream.stop();
  });

  test('LastEventIdReplaysWhatWasMissed', async () => {
    const ids = [];
    for (let i = 0; i < 5; ++i) ids.push(await server().publish({ data: `missed ${i}` }));
    for (const options of [
      ['-H', `Last-Event-ID: ${ids[1]}`, `${server().url}/events`],
      [`${server().url}/events?last_event_id=${ids[1]}`],
      ['-H', `Last-Event-ID: ${ids[1]}`, `${server().url}/events?last_event_id=${ids[3]}`],
    ]) {
      const stream = curl(...options);
      await stream.waitFor(/data: missed 4\n\n/);
      const replayed = blocks(stream.out).filter((block) => block.data?.startsWith('missed'));
      assert.deepEqual(replayed.map((block) => block.id), ids.slice(2));
      const heartbeat = blocks(stream.out).find((block) => block.event === 'heartbeat');
      assert.equal(heartbeat.id, ids[1], 'the first heartbeat carries the requested position');
      assert.ok(!blocks(stream.out).some((block) => block.event === 'gap'));
      await stream.stop();
    }
  });

  test('ZeroAsksForEverythingThatIsKept', async () => {
    const id = await server().publish({ data: 'kept' });
    const stream = curl(`${server().url}/events?last_event_id=0-0`);
    await stream.waitFor(new RegExp(`id: ${id}\n`));
    assert.ok(!blocks(stream.out).some((block) => block.event === 'gap'));
    await stream.stop();
  });

  for (const [name, position] of [['malformed', 'yesterday'], ['newer than the newest', '99999999999999-0'], ['unknown', '1-1']]) {
    test(`Position that is ${name} is reported as a gap`, async () => {
      const newest = await server().publish({ data: 'newest' });
      const stream = curl(`${server().url}/events?last_event_id=${position}`);
      await stream.waitFor(/event: gap\n[^]*?\n\n/);
      const read = blocks(stream.out);
      const heartbeat = read.findIndex((block) => block.event === 'heartbeat');
      const gap = read.findIndex((block) => block.event === 'gap');
      if (heartbeat >= 0 && heartbeat < gap) assert.equal(read[heartbeat].id, undefined, 'no position before a gap');
      assert.equal(read[gap].id, undefined);
      const report = JSON.parse(read[gap].data);
      assert.deepEqual(Object.keys(report).sort(), ['newest', 'oldest', 'requested']);
      assert.equal(report.newest, newest);
      assert.match(report.oldest, /^\d+-\d+$/);
      assert.equal(report.requested, name === 'malformed' ? null : position);
      await stream.stop();
    });
  }

  test('TopicsReachOnlyThoseWhoAskedForThem', async () => {
    const both = curl(`${server().url}/events?topic=orders&topic=b%C3%BCcher%2F1`);
    const none = curl(`${server().url}/events`);
    await both.waitFor(/event: heartbeat\n/);
    await none.waitFor(/event: heartbeat\n/);
    await server().publish({ data: 'to orders', topic: 'orders' });
    await server().publish({ data: 'to books', topic: 'bücher/1' });
    await server().publish({ data: 'to others', topic: 'others' });
    await server().publish({ data: 'to all' });
    await both.waitFor(/data: to all\n\n/);
    await none.waitFor(/data: to all\n\n/);
    const arrived = (stream) => blocks(stream.out).filter((block) => block.data).map((block) => block.data);
    assert.deepEqual(arrived(both), ['to orders', 'to books', 'to all']);
    assert.deepEqual(arrived(none), ['to all']);
    await both.stop();
    await none.stop();
  });

  test('SixtyFourTopicsAreTakenAndOneMoreIsRefused', async () => {
    const topics = (count) => Array.from({ length: count }, (_, i) => `topic=t${i}`).join('&');
    const stream = curl(`${server().url}/events?${topics(64)}`);
    await stream.waitFor(/^HTTP\/1\.1 200 /);
    await stream.waitFor(/event: heartbeat\n/);
    await server().publish({ data: 'to the last', topic: 't63' });
    await stream.waitFor(/data: to the last\n\n/);
    await stream.stop();
    const refused = await answer(`${server().url}/events?${topics(65)}`);
    assert.equal(refused.status, 400);
    assert.match(errorOf(refused), /topic/i);
  });

  test('PositionOfMoreThan64BytesIsRefused', async () => {
    const long = '1'.repeat(65);
    for (const options of [['-H', `Last-Event-ID: ${long}`, `${server().url}/events`], [`${server().url}/events?last_event_id=${long}`]]) {
      const refused = await answer(...options);
      assert.equal(refused.status, 400);
      assert.match(errorOf(refused), /last.event.id/i);
    }
  });

  test('ConnectionIsKeptBetweenPublishes', async () => {
    const one = [...json, '-d', '{"data":"again"}', '-w', '%{num_connects} ', `${server().url}/publish`];
    const run = curl(...one, '--next', '-sS', '-i', ...one, '--next', '-sS', '-i', ...one);
    assert.equal(await run.done, 0, run.err);
    assert.equal(run.out.match(/HTTP\/1\.1 204 /g)?.length, 3, run.out);
    // The number of new connections is printed after each answer.
    assert.deepEqual(run.out.match(/(?<=\r\n\r\n)\d+ /g), ['1 ', '0 ', '0 ']);
  });

  test('ErrorsAreJson', async () => {
    const unknown = await answer(`${server().url}/nowhere`);
    assert.equal(unknown.status, 404);
    errorOf(unknown);
    for (const [method, path] of [['PUT', '/publish'], ['GET', '/publish'], ['DELETE', '/events'], ['POST', '/events']]) {
      const refused = await answer('-X', method, `${server().url}${path}`);
      assert.equal(refused.status, 405, `${method} ${path}`);
      assert.match(refused.headers.allow ?? '', path === '/publish' ? /\bPOST\b/ : /\bGET\b/);
      errorOf(refused);
    }
  });

  test('HeadOfAnUnknownPathHasNoBody', async () => {
    const head = await answer('-I', `${server().url}/nowhere`);
    assert.equal(head.status, 404);
    assert.equal(head.text, '');
  });

  for (const [field, body] of [
    ['data', '{}'],
    ['data', '{"event":"x"}'],
    ['event', '{"event":"a\\nb","data":"x"}'],
    ['event', '{"event":"a\\rb","data":"x"}'],
    ['event', '{"event":"a\\u0000b","data":"x"}'],
    ['event', '{"event":7,"data":"x"}'],
    ['topic', '{"topic":"","data":"x"}'],
    ['topic', '{"topic":"a\\nb","data":"x"}'],
    ['topic', '{"topic":[],"data":"x"}'],
    ['retry', '{"retry":-1,"data":"x"}'],
    ['retry', '{"retry":"soon","data":"x"}'],
    ['colour', '{"colour":"red","data":"x"}'],
    ['data', '{"data":"x","data":"y"}'],
    ['body', '{"data":"x"'],
    ['body', 'hello'],
    ['body', '[]'],
    ['body', '{"data":"x"} trailing'],
  ]) {
    test(`Publishing ${body} is refused and names ${field}`, async () => {
      const refused = await answer(...json, '--data-binary', body, `${server().url}/publish`);
      assert.equal(refused.status, 400, refused.raw);
      assert.match(errorOf(refused), new RegExp(`\\b${field}\\b`));
    });
  }

  test('WrongContentTypeIsRefused', async () => {
    const before = await server().publish({ data: 'before' });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) {
      const refused = await answer('-H', `Content-Type: ${type}`, '-d', '{"data":"x"}', `${server().url}/publish`);
      assert.ok([400, 415].includes(refused.status), `${type}: ${refused.status}`);
      errorOf(refused);
    }
    const taken = await answer('-H', 'Content-Type: application/json; charset=utf-8', '-d', '{"data":"x"}', `${server().url}/publish`);
    assert.equal(taken.status, 204);
    assert.equal(compareIds(before, taken.headers['event-id']), -1);
  });

  test('ExpectContinueIsAnsweredBeforeTheBody', async () => {
    const run = curl(...json, '-H', 'Expect: 100-continue', '--expect100-timeout', '15', '-d', '{"data":"patient"}', `${server().url}/publish`);
    const begin = performance.now();
    assert.equal(await run.done, 0, run.err);
    assert.ok(performance.now() - begin < 10_000, 'curl waited in vain for 100 Continue');
    assert.match(run.out, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 204 /);
  });

  test('ChunkedBodyIsTaken', async () => {
    const taken = await answer(...json, '-H', 'Transfer-Encoding: chunked', '-d', '{"data":"in pieces"}', `${server().url}/publish`);
    assert.equal(taken.status, 204);
  });

  test('BodyOverTheLimitIsRefused', async () => {
    const body = JSON.stringify({ data: 'x'.repeat(5000) });
    const refused = await answer(...json, '-H', 'Expect:', '-d', body, `${server().url}/publish`);
    assert.equal(refused.status, 413);
    errorOf(refused);
  });
});

describeInEachMode('curl, heartbeats', (descriptors) => {
  const shared = sharedServer({ descriptors, config: { stream: { heartbeat_seconds: 1, retry_ms: 1234 } } });

  test('QuietStreamGetsHeartbeatsThatMoveItsPosition', async () => {
    const { server: ringcast } = shared;
    const stream = curl(`${ringcast.url}/events?topic=quiet`);
    await stream.waitFor(/retry: 1234\n/);
    await stream.waitFor(/event: heartbeat\n/);
    const id = await ringcast.publish({ data: 'elsewhere', topic: 'loud' });
    await stream.waitFor(new RegExp(`id: ${id}\nevent: heartbeat\ndata: \n\n`), 4000);
    assert.ok(!blocks(stream.out).some((block) => block.data === 'elsewhere'));
    await stream.stop();
  });

  test('StreamThatJustGotAnEventNeedsNone', async () => {
    const stream = curl(`${shared.server.url}/events`);
    await stream.waitFor(/event: heartbeat\n/);
    const end = performance.now() + 3000;
    for (let i = 0; performance.now() < end; ++i) {
      await shared.server.publish({ data: `busy ${i}` });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(blocks(stream.out).filter((block) => block.event === 'heartbeat').length, 1);
    await stream.stop();
  });
});
