// Payloads arrive as the standard allows at best, judged by parsers of others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { EventSource } from 'eventsource';
import { chromium } from 'playwright-core';

import { errorOf, sharedServer, until } from './harness.mjs';

/** Code points `from` to `to` in a row, without the surrogates. */
const range = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)
    .filter((point) => point < 0xd800 || point > 0xdfff)
    .map((point) => String.fromCodePoint(point))
    .join('');

// 64 KiB with the JSON around it is the limit of a body.
const largest = 65_536 - JSON.stringify({ data: '' }).length;

const payloads = {
  'empty text': '',
  'one space': ' ',
  'leading spaces': '   three',
  'trailing spaces': 'three   ',
  'a leading tab': '\tx',
  'LF between': 'a\nb',
  'CR between': 'a\rb',
  'CRLF between': 'a\r\nb',
  'LF CR between': 'a\n\rb',
  'CR CR LF LF between': 'a\r\r\n\nb',
  'only LF': '\n',
  'only CR': '\r',
  'only CRLF': '\r\n',
  'leading line ends': '\n\r\n\rx',
  'trailing line ends': 'x\n\r\n\r',
  'lines with leading spaces': ' a\n  b\n   c',
  'fields to inject': 'x\n\nid: 1-1\nevent: gap\ndata: {}\n\nretry: 1',
  'fields to inject after CR': 'x\rid: 1-1\revent: gap\r\rdata: y',
  'a colon first': ': comment?',
  'a field name': 'data: x',
  'a chunk end': 'x\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  'all of ASCII': range(0, 0x7f),
  'all of Latin-1': range(0x80, 0xff),
  'the first three thousand': range(0x100, 0xcff),
  'NUL': 'a\0b',
  'a byte order mark first': '\uFEFFx',
  'a byte order mark alone': '\uFEFF',
  'a byte order mark on the second line': 'x\n\uFEFFy',
  'U+2028, U+2029 and U+0085': 'a\u2028b\u2029c\u0085d',
  'vertical tab and form feed': 'a\vb\fc',
  'four bytes': '😀𝄞\u{10ffff}\u{10000}',
  'edges of UTF-8 lengths': '\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}',
  'non-characters': '\ufffe\uffff\u{1fffe}',
  'combining marks, right to left': 'e\u0301 \u202eabc\u202c שלום',
  'the largest': 'x'.repeat(largest),
  'the largest in four-byte characters': '😀'.repeat(Math.floor(largest / 4)),
  'the largest of line ends': '\n'.repeat(Math.floor(largest / 2)),
};

/** What the standard lets a client see: every line end is LF. */
const asSeen = (text) => text.replace(/\r\n|\r|\n/g, '\n');

const types = ['a', ' leading space', 'colon: x', 'ünï', '😀', 'x'.repeat(256)];

describe('fidelity', () => {
  const shared = sharedServer();
  let browser;
  let page;
  let source;
  const seen = new Map(); // ID → event, of the npm client

  before(async () => {
    const { server } = shared;
    source = new EventSource(`${server.url}/events`);
    let open = false;
    source.addEventListener('heartbeat', () => (open = true));
    for (const type of ['message', ...types]) {
      source.addEventListener(type, (event) => seen.set(event.lastEventId, { type: event.type, data: event.data }));
    }
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium' });
    page = await browser.newPage();
    await page.goto(`${server.url}/`);
    await page.evaluate(
      (names) =>
        new Promise((resolve) => {
          globalThis.arrived = {};
          const stream = new globalThis.EventSource('/events');
          stream.addEventListener('heartbeat', () => resolve());
          for (const type of names) {
            stream.addEventListener(type, (event) => {
              globalThis.arrived[event.lastEventId] = { type: event.type, data: event.data };
            });
          }
        }),
      ['message', ...types],
    );
    await until(() => open, 'the npm client is connected');
  });
  after(async () => {
    source?.close();
    await browser?.close();
  });

  async function check(event, expected) {
    const id = await shared.server.publish(event);
    await until(() => seen.has(id), 'the npm client gets it');
    assert.deepEqual(seen.get(id), expected);
    const inBrowser = await page.waitForFunction((key) => globalThis.arrived[key], id, { timeout: 10_000 });
    assert.deepEqual(await inBrowser.jsonValue(), expected);
  }

  for (const [name, payload] of Object.entries(payloads)) {
    test(`Data arrives whole: ${name}`, () => check({ data: payload }, { type: 'message', data: asSeen(payload) }));
  }

  for (const type of types) {
    test(`Type arrives whole: ${JSON.stringify(type.slice(0, 20))}`, () =>
      check({ event: type, data: 'x' }, { type, data: 'x' }));
  }

  test('AbsentAndMessageTypesAreTheSame', async () => {
    await check({ event: 'message', data: 'named' }, { type: 'message', data: 'named' });
  });

  for (const [name, bytes] of Object.entries({
    'a lone continuation byte': [0x80],
    'a byte that never occurs': [0xff],
    'a broken sequence': [0xc3, 0x28],
    'an overlong slash': [0xc0, 0xaf],
    'an overlong euro sign': [0xf0, 0x82, 0x82, 0xac],
    'a surrogate in UTF-8': [0xed, 0xa0, 0x80],
    'a point above U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'a cut sequence': [0xf0, 0x9f, 0x98],
  })) {
    test(`Invalid UTF-8 is refused: ${name}`, async () => {
      for (const [head, tail] of [['{"data":"a', 'b"}'], ['{"event":"a', 'b","data":""}'], ['{"topic":"a', 'b","data":""}']]) {
        const body = Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]);
        const answer = await shared.server.post(body);
        assert.equal(answer.status, 400, head);
        errorOf(answer);
      }
    });
  }

  for (const escape of ['\\ud800', '\\udc00', '\\ud800x', '\\ud800\\ud800']) {
    test(`Lone surrogate ${escape} is refused`, async () => {
      const answer = await shared.server.post(`{"data":"${escape}"}`);
      assert.equal(answer.status, 400);
      errorOf(answer);
    });
  }

  for (const end of ['\\n', '\\r', '\\u0000']) {
    test(`Type with ${end} is refused`, async () => {
      const answer = await shared.server.post(`{"event":"a${end}b","data":"x"}`);
      assert.equal(answer.status, 400);
      assert.match(errorOf(answer), /\bevent\b/);
    });
  }

  test('BodyOverTheLimitIsRefused', async () => {
    const answer = await shared.server.post({ data: 'x'.repeat(largest + 1) });
    assert.equal(answer.status, 413);
    errorOf(answer);
  });

  test('NothingThatWasRefusedArrived', async () => {
    await check({ data: 'the last' }, { type: 'message', data: 'the last' });
    const inBrowser = await page.evaluate(() => Object.keys(globalThis.arrived));
    assert.equal(seen.size, Object.keys(payloads).length + types.length + 2);
    assert.deepEqual(new Set(inBrowser), new Set(seen.keys()));
  });
});
