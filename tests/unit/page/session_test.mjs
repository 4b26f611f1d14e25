// Signing in and out, and what an open stream makes of it. The server and the browser are played here.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { LiveConnection } from "../../../src/page/live_connection.js";
import { field_to_mark } from "../../../src/page/live_publish.js";
import { SessionLine, rooms_text } from "../../../src/page/live_session.js";
import {
  address_after_sign_in,
  ask_session,
  sign_in,
  sign_in_address,
  sign_out,
} from "../../../src/page/session.js";

const encoder = new TextEncoder();
const HOUR_MS = 3_600_000;

// Answers by path, each a function of the request; what was asked, in order.
let answers = {};
let asked = [];
let listeners = {};

function json(status, body, headers = {}) {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
}

beforeEach(() => {
  answers = {};
  asked = [];
  listeners = {};
  mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = async (address, options = {}) => {
    const path = address.split("?")[0];
    asked.push(`${options.method ?? "GET"} ${path}`);
    return answers[path](options);
  };
  const listen = (type, listener) => {
    listeners[type] = listener;
  };
  globalThis.document = { addEventListener: listen, visibilityState: "visible" };
  globalThis.window = { addEventListener: listen };
});
afterEach(() => mock.timers.reset());

// Lets everything run that waits for promises alone.
async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
}

// /events as a server that keeps its streams: `write` goes to the newest, `end` ends it.
function streams() {
  let controller;
  answers["/events"] = () => {
    const body = new ReadableStream({
      start(started) {
        controller = started;
        started.enqueue(encoder.encode("retry: 100\nid: 5-0\nevent: heartbeat\ndata: \n\n"));
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };
  return {
    write: (text) => controller.enqueue(encoder.encode(text)),
    end: () => controller.close(),
  };
}

function connect(session = async () => "in") {
  const connection = new LiveConnection({
    on_change: () => {},
    on_event: () => {},
    ask_session: async () => {
      asked.push("session");
      return session();
    },
  });
  return connection;
}

const brief = ({ state, reason, sign_in: wanted }) => [state, reason, wanted];
const streams_asked = () => asked.filter((path) => path === "GET /events").length;

test("TheSessionIsWhatTheServerSays", async () => {
  answers["/session"] = () => json(200, { required: true, user: "demo", expires_in: 3540 });
  assert.deepEqual(await ask_session(), { state: "in", user: "demo" });
  answers["/session"] = () => json(200, { required: false, user: null, expires_in: null });
  assert.deepEqual(await ask_session(), { state: "not-needed" });
  answers["/session"] = () => json(401, { error: "unauthorized" });
  assert.deepEqual(await ask_session(), { state: "out" });
  for (const answer of [
    () => json(503, { error: "busy" }),
    () => new Response("<html>", { status: 200 }),
    () => json(200, {}),
    () => Promise.reject(new TypeError("no connection")),
  ]) {
    answers["/session"] = answer;
    assert.deepEqual(await ask_session(), { state: "unknown" });
  }
});

test("SigningInSendsTheNameAndThePasswordAsJson", async () => {
  let sent;
  answers["/login"] = (options) => {
    sent = options;
    return json(200, { status: "ok" });
  };
  assert.equal(await sign_in("demo", 'p"ä'), null);
  assert.equal(sent.method, "POST");
  assert.equal(sent.headers["Content-Type"], "application/json");
  assert.deepEqual(JSON.parse(sent.body), { username: "demo", password: 'p"ä' });
});

test("ARefusedSignInSaysWhyAndHowLongToWait", async () => {
  const refusal = async (answer) => {
    answers["/login"] = answer;
    const { text, wait_ms, field } = await sign_in("demo", "x");
    return [text, wait_ms, field];
  };
  assert.deepEqual(await refusal(() => json(401, { error: "invalid credentials" })), ["Wrong name or password.", 0, "password"]);
  assert.deepEqual(await refusal(() => json(400, { error: "username: is missing" })), ["username: is missing", 0, "username"]);
  assert.deepEqual(
    await refusal(() => json(429, { error: "too many attempts to sign in" }, { "Retry-After": "42" })),
    ["Too many attempts to sign in.", 42_000, ""],
  );
  assert.deepEqual(await refusal(() => json(503, { error: "busy" }, { "Retry-After": "1" })), ["The server is busy.", 1000, ""]);
  assert.deepEqual(
    await refusal(() => json(403, { error: "the origin of this username is not allowed" })),
    ["the origin of this username is not allowed", 0, ""],
  );
  assert.deepEqual(await refusal(() => json(404, {})), ["This server does not sign in by name and password.", 0, ""]);
  assert.deepEqual(
    await refusal(() => new Response("", { status: 502, statusText: "Bad Gateway" })),
    ["The server answers 502 Bad Gateway", 0, ""],
  );
  assert.deepEqual(await refusal(() => Promise.reject(new TypeError("refused"))), ["The server does not answer.", 0, ""]);
});

test("SigningOutFailsAloudAndATokenThatIsGoneIsSignedOut", async () => {
  answers["/logout"] = () => new Response(null, { status: 204 });
  assert.equal(await sign_out(), "");
  answers["/logout"] = () => json(401, { error: "unauthorized" });
  assert.equal(await sign_out(), "");
  answers["/logout"] = () => json(503, { error: "too busy" });
  assert.equal(await sign_out(), "503 too busy");
  answers["/logout"] = () => Promise.reject(new TypeError("refused"));
  assert.equal(await sign_out(), "the server does not answer");
  assert.deepEqual(new Set(asked), new Set(["POST /logout"]));
});

test("AfterSigningInThePageStaysOnItsOrigin", () => {
  const origin = "https://push.example.com";
  const after = (next) => address_after_sign_in(`?next=${encodeURIComponent(next)}`, origin);
  assert.equal(address_after_sign_in("", origin), `${origin}/`);
  assert.equal(after("/"), `${origin}/`);
  assert.equal(after("/app?x=1#topic=a"), `${origin}/app?x=1#topic=a`);
  for (const next of [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example",
    "https://evil.example/", "evil", "javascript:alert(1)", "", " //evil.example",
    "//push.example.com/app", "/\\push.example.com/app",
  ]) {
    assert.equal(after(next), `${origin}/`, JSON.stringify(next));
  }
  for (const next of ["/.//evil.example", "/x/..//evil.example", "/%2f/evil.example", "/@evil.example"]) {
    assert.ok(after(next).startsWith(`${origin}/`), next);
  }
});

test("TheSignInPageLeadsBackToTheTopics", () => {
  assert.equal(sign_in_address(new URL("http://a/")), "/login.html");
  const address = sign_in_address(new URL("http://a/#topic=user%2Fx&topic=b"));
  assert.equal(address_after_sign_in(new URL(address, "http://a").search, "http://a"), "http://a/#topic=user%2Fx&topic=b");
});

test("NoStreamIsAskedForBeforeSomebodySignedIn", async () => {
  streams();
  const connection = connect(async () => "out");
  connection.start([]);
  await settle();
  assert.deepEqual(brief(connection), ["refused", "sign in first", true]);
  mock.timers.tick(HOUR_MS);
  await settle();
  assert.deepEqual(asked, ["session"]);
});

for (const state of ["in", "not-needed", "unknown"]) {
  test(`AStreamOpensWhenTheSessionIs ${state}`, async () => {
    streams();
    const connection = connect(async () => state);
    connection.start([]);
    await settle();
    assert.deepEqual(brief(connection), ["open", "", false]);
    assert.deepEqual(asked, ["session", "GET /events"]);
  });
}

for (const [closing, words] of [["signed-out", "signed out"], ["expired", "the session has expired"]]) {
  test(`TheEndOfTheSessionIsSaidAndNothingReconnects ${closing}`, async () => {
    const server = streams();
    const connection = connect();
    connection.start([]);
    await settle();
    server.write(`event: closing\ndata: {"reason":"${closing}"}\n\n`);
    server.end();
    await settle();
    assert.deepEqual(brief(connection), ["closed", words, true]);
    assert.equal(connection.next_try_at, null);
    mock.timers.tick(HOUR_MS);
    await settle();
    assert.equal(streams_asked(), 1);
    assert.deepEqual(brief(connection), ["closed", words, true]);
  });
}

test("ADrainedStreamStillComesBackByItself", async () => {
  const server = streams();
  const connection = connect();
  connection.start([]);
  await settle();
  server.write('event: closing\ndata: {"reason":"drain"}\n\n');
  server.end();
  await settle();
  assert.deepEqual(brief(connection), ["closed", "drain", false]);
  mock.timers.tick(HOUR_MS);
  await settle();
  assert.equal(connection.state, "open");
  assert.equal(asked.filter((path) => path === "session").length, 1);
});

test("AWokenPageAsksForTheSessionBeforeItForgetsWhyItStopped", async () => {
  const server = streams();
  let session = "in";
  const connection = connect(async () => session);
  connection.start([]);
  await settle();
  server.write('event: closing\ndata: {"reason":"signed-out"}\n\n');
  server.end();
  await settle();

  session = "out";
  listeners.visibilitychange();
  await settle();
  assert.deepEqual(brief(connection), ["closed", "signed out", true]);
  assert.equal(streams_asked(), 1);

  session = "in";
  listeners.visibilitychange();
  await settle();
  assert.deepEqual(brief(connection), ["open", "", false]);
  assert.equal(streams_asked(), 2);
});

test("AStreamThatIsUnauthorizedAsksToSignIn", async () => {
  answers["/events"] = () => json(401, { error: "unauthorized" });
  const connection = connect();
  connection.start([]);
  await settle();
  assert.deepEqual(brief(connection), ["refused", "sign in first", true]);
  mock.timers.tick(HOUR_MS);
  await settle();
  assert.equal(streams_asked(), 1);
});

test("AForbiddenTopicIsNamedAndSigningInIsNotOffered", async () => {
  answers["/events"] = () => json(403, { error: 'topic: you may not read "orders"' });
  const connection = connect();
  connection.start(["orders"]);
  await settle();
  assert.deepEqual(brief(connection), ["refused", '403 topic: you may not read "orders"', false]);
});

test("SigningOutHereEndsTheStreamEvenWhenTheServerSaysNothing", async () => {
  streams();
  const connection = connect();
  connection.start([]);
  await settle();
  connection.signed_out();
  assert.equal(connection.state, "open");
  mock.timers.tick(10_000);
  await settle();
  assert.deepEqual(brief(connection), ["closed", "signed out", true]);
  mock.timers.tick(HOUR_MS);
  await settle();
  assert.equal(streams_asked(), 1);
});

test("SigningOutHereGivesUpAStreamThatIsWaitedFor", async () => {
  answers["/events"] = () => json(503, { error: "full" }, { "Retry-After": "5" });
  const connection = connect();
  connection.start([]);
  await settle();
  assert.deepEqual(brief(connection), ["refused", "503 full", false]);
  connection.signed_out();
  assert.deepEqual(brief(connection), ["closed", "signed out", true]);
  mock.timers.tick(HOUR_MS);
  await settle();
  assert.equal(streams_asked(), 1);
});

function session_line() {
  const element = () => ({ textContent: "", title: "", hidden: true, disabled: false });
  let click;
  const button = { ...element(), addEventListener: (_, listener) => (click = listener) };
  const parts = { line: element(), user: element(), button, result: element() };
  let signed_out = 0;
  const line = new SessionLine({ ...parts, on_signed_out: () => (signed_out += 1) });
  return { line, parts, click: () => click(), signed_out: () => signed_out };
}

test("TheSessionLineNamesTheUserUntilSignedOut", async () => {
  answers["/session"] = () => json(200, { required: true, user: "<b>demo", expires_in: 1 });
  answers["/logout"] = () => json(503, { error: "too busy" });
  const { line, parts, click, signed_out } = session_line();
  assert.equal(await line.ask(), "in");
  assert.equal(parts.user.textContent, "Signed in as <b>demo");
  assert.equal(line.user, "<b>demo");
  assert.equal(parts.line.hidden, false);

  await click();
  assert.equal(parts.result.textContent, "Not signed out: 503 too busy");
  assert.equal(parts.line.hidden, false);
  assert.equal(signed_out(), 0);

  answers["/logout"] = () => new Response(null, { status: 204 });
  await click();
  assert.equal(parts.line.hidden, true);
  assert.equal(line.user, "");
  assert.equal(line.is_needed, true);
  assert.equal(signed_out(), 1);
});

test("TheSessionLineIsHiddenWhereNobodyIsAskedToSignIn", async () => {
  answers["/session"] = () => json(200, { required: false, user: null, expires_in: null });
  const { line, parts } = session_line();
  assert.equal(await line.ask(), "not-needed");
  assert.equal(parts.line.hidden, true);
  assert.equal(line.user, "");
  assert.equal(line.is_needed, false);
});

test("AnAnswerFromBeforeSigningOutIsNotShown", async () => {
  let answer;
  answers["/session"] = () => new Promise((resolve) => (answer = resolve));
  const { line, parts } = session_line();
  const waiting = line.ask();
  line.forget();
  answer(json(200, { required: true, user: "demo", expires_in: 1 }));
  await waiting;
  assert.equal(parts.line.hidden, true);
  assert.equal(line.user, "");
});

test("TheRoomsOfAStreamIncludeThatOfItsUserOnce", () => {
  assert.equal(rooms_text([], ""), "public room");
  assert.equal(rooms_text(["a"], ""), "public room and 1 topic");
  assert.equal(rooms_text([], "demo"), "public room, user/demo");
  assert.equal(rooms_text(["a", "user/demo", "user/alice"], "demo"), "public room, user/demo and 2 topics");
});

test("ARefusedPublicationMarksTheFieldThatIsNamed", () => {
  assert.equal(field_to_mark(400, "data: is missing"), "data");
  assert.equal(field_to_mark(403, 'topic: you may not publish to "orders"'), "topic");
  assert.equal(field_to_mark(403, "this origin may not send event data"), "");
  assert.equal(field_to_mark(401, "unauthorized"), "");
});
