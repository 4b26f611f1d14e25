// The parts of the pages that need no browser, run by node's own test runner.

import assert from "node:assert/strict";
import { test } from "node:test";

import { retry_after_ms } from "../../../src/page/answers.js";
import { EVENT_UNITS_MAX, EventStreamParser } from "../../../src/page/event_stream.js";
import { BACKOFF_MAX_MS, wait_ms } from "../../../src/page/live_connection.js";
import { LINE_UNITS, SHOWN_UNITS_MAX, pieces_of } from "../../../src/page/live_data.js";

const encoder = new TextEncoder();

function parse(chunks, last_event_id = "") {
  const events = [];
  const retries = [];
  const parser = new EventStreamParser({
    last_event_id,
    on_event: (event) => events.push(event),
    on_retry: (milliseconds) => retries.push(milliseconds),
  });
  for (const chunk of chunks) parser.push(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
  return { events, retries, parser };
}

const brief = ({ events }) => events.map(({ type, data, last_event_id }) => [type, data, last_event_id]);

test("TheExamplesOfTheStandardGiveTheirEvents", () => {
  assert.deepEqual(brief(parse(["data: YHOO\ndata: +2\ndata: 10\n\n"])), [["message", "YHOO\n+2\n10", ""]]);
  assert.deepEqual(
    brief(parse([": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata"])),
    [["message", null, ""], ["message", "first event", "1"], ["message", "second event", ""], ["message", " third event", ""]],
  );
  assert.deepEqual(brief(parse(["data\n\ndata\ndata\n\ndata:"])), [["message", "", ""], ["message", "\n", ""]]);
  assert.deepEqual(brief(parse(["data:test\n\ndata: test\n\n"])), [["message", "test", ""], ["message", "test", ""]]);
});

test("EveryCutOfTheBytesGivesTheSameEvents", () => {
  const stream = encoder.encode(
    "\uFEFFid: 1-0\r\nevent: größe\r\ndata: a\rdata: 😀\n\r\n\nretry: 250\rdata:\r\rid: 1-1\ndata: end\r\n\r\n",
  );
  const whole = parse([stream]);
  assert.deepEqual(brief(whole), [
    ["größe", "a\n😀", "1-0"],
    ["message", "", "1-0"],
    ["message", "end", "1-1"],
  ]);
  assert.deepEqual(whole.retries, [250]);
  for (let first = 0; first <= stream.length; first += 1) {
    for (let second = first; second <= stream.length; second += 1) {
      const cut = parse([stream.slice(0, first), stream.slice(first, second), stream.slice(second)]);
      assert.deepEqual(cut.events, whole.events, `cut at ${first} and ${second}`);
      assert.deepEqual(cut.retries, whole.retries);
    }
  }
  assert.deepEqual(parse([...stream].map((byte) => Uint8Array.of(byte))).events, whole.events);
});

test("AnEventWithoutAnIdKeepsTheCursorOfTheConnectionBefore", () => {
  const { events, parser } = parse(["event: gap\ndata: {}\n\n"], "7-0");
  assert.equal(events[0].id, null);
  assert.equal(events[0].last_event_id, "7-0");
  assert.equal(parser.last_event_id, "7-0");
});

test("TheCursorMovesWithTheEndOfTheEventAndNotBefore", () => {
  const { parser } = parse(["id: 8-0\ndata: x\n"], "7-0");
  assert.equal(parser.last_event_id, "7-0");
  parser.push(encoder.encode("\n"));
  assert.equal(parser.last_event_id, "8-0");
});

test("AnIdWithNulAndARetryThatIsNoNumberAreIgnored", () => {
  const { events, retries } = parse(["id: a\0b\nretry: 1e3\nretry: -1\nretry:\ndata: x\n\n"], "7-0");
  assert.equal(events[0].last_event_id, "7-0");
  assert.deepEqual(retries, []);
});

test("FieldNamesAreTakenLiterally", () => {
  assert.deepEqual(brief(parse(["Data: no\n data: no\ndata : no\nnothing\ndata: yes\n\n"])), [["message", "yes", ""]]);
});

test("AnEventThatNeverEndsIsRefusedAndNotHeld", () => {
  const line = encoder.encode(`data: ${"x".repeat(1 << 20)}\n`);
  const { parser } = parse([]);
  assert.throws(() => {
    for (let sent = 0; sent <= EVENT_UNITS_MAX + line.length; sent += line.length) parser.push(line);
  });
});

test("WaitingStartsWithRetryDoublesAndIsBounded", () => {
  assert.equal(wait_ms(1000, 0, 0), 1000);
  assert.equal(wait_ms(1000, 2, 0), 4000);
  assert.equal(wait_ms(1000, 2, 0.8), 4800);
  assert.equal(wait_ms(3000, 50, 0.99), BACKOFF_MAX_MS);
  assert.equal(wait_ms(60_000, 0, 0), 60_000);
  for (let failures = 0; failures < 20; failures += 1) {
    const wait = wait_ms(1000, failures, 0.999);
    assert.ok(wait >= 1000 && wait <= BACKOFF_MAX_MS);
  }
});

test("RetryAfterIsReadAsSecondsOrAsADate", () => {
  assert.equal(retry_after_ms("7", 0), 7000);
  assert.equal(retry_after_ms("Thu, 01 Jan 1970 00:00:09 GMT", 4000), 5000);
  assert.equal(retry_after_ms("Thu, 01 Jan 1970 00:00:09 GMT", 40_000), 0);
  assert.equal(retry_after_ms("soon", 0), null);
  assert.equal(retry_after_ms(null, 0), null);
});

const laid_out = (data, units = LINE_UNITS.wide) => pieces_of(data, units).map(([, text]) => text).join("");

test("JsonIsLaidOutFromItsOwnTokens", () => {
  assert.equal(laid_out('{"n":12345678901234567890,"n":1.10,"e":{},"l":[]}'), '{ "n": 12345678901234567890, "n": 1.10, "e": {}, "l": [] }');
  assert.equal(laid_out('{"a":[1,2],"text":"{,:\\"]"}', 14), '{\n  "a": [1, 2],\n  "text": "{,:\\"]"\n}');
  assert.equal(laid_out('[[["x"]]]', 4), '[\n  [\n    [\n      "x"\n    ]\n  ]\n]');
});

test("TextThatIsNoJsonStaysAsItIs", () => {
  for (const text of ["plain", " {broken", "12", "[1,]", '"quoted"']) {
    assert.deepEqual(pieces_of(text, LINE_UNITS.wide), [["text", text]]);
  }
});

test("LongDataIsCutAndSaysSo", () => {
  const pieces = pieces_of("x".repeat(SHOWN_UNITS_MAX + 1234), LINE_UNITS.wide);
  assert.equal(pieces[0][1].length, SHOWN_UNITS_MAX);
  assert.match(pieces[1][1], /1,234 more/);
});
