// Keeps one stream open: connects, reads, and connects again from where it stopped.
//
//              ┌────────────── start ──────────────┐
//              ▼                                   │
//   connecting ──► open ──► closed ("closing") ────┤ waits, or stays if the session is over
//       │            │                             │
//       │            └──► reconnecting ◄───────────┤ waits: retry, then doubled, 30 s at most
//       └──► refused ◄── reconnecting              │
//               └──────────────────────────────────┘ waits as told, or stays if waiting cannot help

import { error_in, retry_after_ms } from "./answers.js";
import { EventStreamParser } from "./event_stream.js";

export const DEFAULT_RETRY_MS = 3000; // until the server says otherwise
export const BACKOFF_MAX_MS = 30_000;
// A stream that was silent for so long may be dead without knowing it, after the machine slept.
const STALE_MS = 45_000;
// These do not get better by waiting; somebody has to change the request. So has 401, which has its own words.
const HOPELESS_STATUS = new Set([400, 403, 404, 405]);
// Reasons of `closing` after which nothing comes back before somebody signs in, in words.
const SESSION_OVER = new Map([["expired", "the session has expired"], ["signed-out", "signed out"]]);
const SIGN_IN_FIRST = "sign in first";
// The server ends the streams of a token that was signed out; one that it forgets is ended here.
const SIGN_OUT_MS = 2000;

// How long to wait before a try. `failures` counts tries in a row that reached no stream; `random` is in
// [0, 1). What the server asked for is the least, also when it is above the bound of the back-off; up to
// a quarter more keeps many pages from coming back in step.
export function wait_ms(retry_ms, failures, random) {
  const doubled = retry_ms * 2 ** Math.min(failures, 16);
  return Math.max(retry_ms, Math.min(doubled * (1 + random / 4), BACKOFF_MAX_MS));
}

export class LiveConnection {
  // Read by the page after each on_change.
  state = "closed";
  reason = ""; // why it is refused, closed or reconnecting
  sign_in = false; // nothing is tried before somebody signed in
  attempt = 0; // tries since the stream was lost
  next_try_at = null; // milliseconds of performance.now(), or null
  open_since = null; // Date
  last_byte_at = null; // milliseconds of performance.now(), or null
  retry_ms = DEFAULT_RETRY_MS;
  cursor = "";
  reopened = 0; // lost streams that were opened again

  #on_change;
  #on_event;
  #ask_session;
  #ask_first = true; // whether anybody is signed in is not known
  #topics = [];
  #failures = 0;
  #timer = null;
  #abort = null;
  #was_open = false;
  #may_hurry = false; // the wait is our own caution, not something that the server asked for

  // `ask_session` gives a promise of the state in ask_session of session.js.
  constructor({ on_change, on_event, ask_session }) {
    this.#on_change = on_change;
    this.#on_event = on_event;
    this.#ask_session = ask_session;
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#hurry();
    });
    window.addEventListener("online", () => this.#hurry());
    // A page that the browser puts aside and takes out again has lost its stream without a word.
    window.addEventListener("pageshow", (event) => event.persisted && this.#hurry());
  }

  get topics() {
    return this.#topics;
  }

  // Opens a stream of these topics. It goes on after `cursor`: nothing is missed while topics change.
  start(topics, cursor = this.cursor) {
    this.#stop();
    this.#topics = topics;
    this.cursor = cursor;
    this.#failures = 0;
    this.#was_open = false;
    this.attempt = 0;
    this.#connect("connecting");
  }

  // Does not wait any longer for the next try.
  try_now() {
    this.#stop();
    this.#connect("reconnecting");
  }

  stop(reason) {
    this.#stop();
    this.#set("closed", { reason });
  }

  // This page signed out. The server says so to an open stream; one that is waited for is given up.
  signed_out() {
    const end = () => {
      this.#stop();
      this.#stay("closed", SESSION_OVER.get("signed-out"), true);
    };
    if (this.state !== "open") {
      end();
      return;
    }
    const abort = this.#abort;
    setTimeout(() => this.#abort === abort && end(), SIGN_OUT_MS);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    this.#may_hurry = false;
  }

  #set(state, { reason = "", sign_in = false, wait = null } = {}) {
    this.state = state;
    this.reason = reason;
    this.sign_in = sign_in;
    this.next_try_at = wait === null ? null : performance.now() + wait;
    if (state !== "open") this.open_since = null;
    this.#on_change();
  }

  #wait(state, reason, wait, may_hurry) {
    this.#abort = null;
    this.#may_hurry = may_hurry;
    this.#set(state, { reason, wait });
    this.#timer = setTimeout(() => this.#connect("reconnecting"), wait);
  }

  #stay(state, reason, sign_in) {
    this.#abort = null;
    this.#ask_first = sign_in;
    this.#set(state, { reason, sign_in });
  }

  #hurry() {
    const stale =
      this.state === "open" && performance.now() - this.last_byte_at > STALE_MS;
    if (this.sign_in) void this.#look_again();
    else if (this.#may_hurry || stale) this.try_now();
  }

  // Somebody may have signed in on another tab. Until that is known the page goes on to say why it stopped.
  async #look_again() {
    if ((await this.#ask_session()) !== "in" || !this.sign_in) return;
    this.#ask_first = false;
    this.try_now();
  }

  async #connect(state) {
    clearTimeout(this.#timer);
    this.#may_hurry = false;
    const abort = (this.#abort = new AbortController());
    const is_current = () => this.#abort === abort;
    if (state === "reconnecting") this.attempt += 1;
    this.#set(state, { reason: this.reason });
    if (this.#ask_first) {
      const session = await this.#ask_session();
      if (!is_current()) return;
      if (session === "out") {
        this.#stay("refused", SIGN_IN_FIRST, true);
        return;
      }
      this.#ask_first = false;
    }

    let response;
    let ended = "the server ended the stream";
    const said = {}; // what the server sent before the end: its reason, by event type
    try {
      response = await this.#request(abort.signal);
      if (!is_current()) return;
      if (response.status !== 200) {
        await this.#refuse(response, is_current);
        return;
      }
      if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
        this.#stay("refused", "the answer is not an event stream", false);
        return;
      }
      await this.#read(response.body.getReader(), said, is_current);
    } catch (error) {
      if (!is_current()) return;
      abort.abort();
      ended = error instanceof TypeError ? "" : String(error.message);
    }
    if (is_current()) this.#after_end(said, ended);
  }

  #request(signal) {
    const query = new URLSearchParams(this.#topics.map((topic) => ["topic", topic])).toString();
    const headers = { Accept: "text/event-stream" };
    if (this.cursor !== "") headers["Last-Event-ID"] = this.cursor;
    return fetch(query === "" ? "/events" : `/events?${query}`, {
      headers,
      signal,
      cache: "no-store",
      redirect: "error",
    });
  }

  async #read(reader, said, is_current) {
    const parser = new EventStreamParser({
      last_event_id: this.cursor,
      on_retry: (milliseconds) => {
        this.retry_ms = milliseconds;
      },
      on_event: (event) => {
        this.cursor = event.last_event_id;
        if (is_of_server(event, "refused") || is_of_server(event, "closing")) {
          const reason = (said[event.type] = reason_in(event.data));
          if (event.type === "refused") this.#set("refused", { reason });
          else this.#set("closed", { reason: SESSION_OVER.get(reason) ?? reason, sign_in: SESSION_OVER.has(reason) });
        } else if (this.state !== "open" && event.data !== null) {
          this.#opened();
        }
        this.#on_event(event);
      },
    });
    for (;;) {
      const { value, done } = await reader.read();
      if (done || !is_current()) return;
      this.last_byte_at = performance.now();
      parser.push(value);
    }
  }

  // Not the headers but the first event opens a stream: a refusal has the headers and the retry of one too.
  #opened() {
    if (this.#was_open) this.reopened += 1;
    this.#was_open = true;
    this.#failures = 0;
    this.attempt = 0;
    this.open_since = new Date();
    this.#set("open");
  }

  async #refuse(response, is_current) {
    const error = await error_in(response);
    if (!is_current()) return;
    if (response.status === 401) {
      this.#stay("refused", SIGN_IN_FIRST, true);
      return;
    }
    const reason = `${response.status} ${error || response.statusText}`.trim();
    if (HOPELESS_STATUS.has(response.status)) {
      this.#stay("refused", reason, false);
      return;
    }
    const asked = retry_after_ms(response.headers.get("retry-after"), Date.now());
    const wait = Math.max(asked ?? 0, wait_ms(this.retry_ms, this.#failures, Math.random()));
    this.#failures += 1;
    this.#wait("refused", reason, wait, false);
  }

  #after_end(said, ended) {
    if (said.refused !== undefined) {
      this.#wait("refused", said.refused, wait_ms(this.retry_ms, 0, Math.random()), false);
    } else if (SESSION_OVER.has(said.closing)) {
      this.#stay("closed", SESSION_OVER.get(said.closing), true);
    } else if (said.closing !== undefined) {
      this.#wait("closed", said.closing, wait_ms(this.retry_ms, 0, Math.random()), false);
    } else {
      const wait = wait_ms(this.retry_ms, this.#failures, Math.random());
      this.#failures += 1;
      this.#wait("reconnecting", ended || this.#lost(), wait, true);
    }
  }

  #lost() {
    if (!navigator.onLine) return "this computer is offline";
    return this.#failures === 1 && this.#was_open ? "the connection was lost" : "the server does not answer";
  }
}

// Anybody may publish an event of the same type, but such an event has an ID.
export function is_of_server(event, type) {
  return event.type === type && (type === "heartbeat" ? event.data === "" : event.id === null);
}

function reason_in(data) {
  try {
    const { reason } = JSON.parse(data);
    if (typeof reason === "string") return reason;
  } catch {
    // Shown as it came.
  }
  return data || "no reason given";
}
