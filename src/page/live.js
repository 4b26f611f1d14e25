// The live page: one connection, its figures, the list of events and the publish form.

import { LiveConnection, is_of_server } from "./live_connection.js";
import { Dial } from "./live_dial.js";
import { EventLog } from "./live_log.js";
import { wire_publish } from "./live_publish.js";
import { SessionLine, rooms_text } from "./live_session.js";
import { sign_in_address } from "./session.js";

const REFRESH_MS = 250;
const STALE_SECONDS = 45;
const TOGGLE_TEXT = { stop: "Disconnect", start: "Connect", try_now: "Try now" };
const TOPICS_MAX = 64; // of one stream

const by_id = (id) => document.getElementById(id);
const seconds_text = (milliseconds) => `${Math.max(0, milliseconds / 1000).toFixed(1)} s`;
// Writing the same text again would make screen readers and layout work for nothing.
const set_text = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

const counts = { events: 0, heartbeats: 0, gaps: 0 };
const dial = new Dial(by_id("dial-marks"), performance.now());
const log = new EventLog({
  list: by_id("events"),
  scroller: by_id("scroller"),
  filter: by_id("filter"),
  pause: by_id("pause"),
  clear: by_id("clear"),
  empty: by_id("empty"),
  newer: by_id("newer"),
});
const session = new SessionLine({
  line: by_id("session"),
  user: by_id("session-user"),
  button: by_id("sign-out"),
  result: by_id("session-result"),
  on_signed_out: () => connection.signed_out(),
});
let session_is_fresh = false; // asked since the last stream
const connection = new LiveConnection({ on_change: show_state, on_event: take, ask_session });

async function ask_session() {
  session_is_fresh = true;
  const state = await session.ask();
  show_hint();
  return state;
}

// How to publish from a terminal.
function show_hint() {
  const parts = [
    `curl ${location.origin}/publish`,
    `-H 'Content-Type: application/json'`,
    `-d '{"event":"hello","data":"world"}'`,
  ];
  if (session.is_needed) parts.splice(1, 0, `-H "Authorization: Bearer $TOKEN"`);
  set_text(by_id("curl"), parts.join(" \\\n  "));
}

function take(event) {
  if (event.data === null) return;
  if (is_of_server(event, "heartbeat")) {
    counts.heartbeats += 1;
    if (by_id("heartbeats-shown").checked) log.add(event);
    return;
  }
  if (is_of_server(event, "gap")) {
    counts.gaps += 1;
    dial.count_gap(performance.now());
  } else if (!is_of_server(event, "refused") && !is_of_server(event, "closing")) {
    counts.events += 1;
    dial.count_event(performance.now());
  }
  log.add(event);
}

function show_state() {
  const { state, reason, sign_in } = connection;
  document.documentElement.dataset.state = state;
  set_text(by_id("state"), state);
  set_text(by_id("reason"), state === "open" || state === "connecting" ? "" : reason);
  by_id("sign-in").hidden = !sign_in;
  by_id("sign-in").href = sign_in_address(location);
  if (sign_in) session.forget();
  // Another tab may have signed somebody else in since the last stream began.
  if (state === "open" && !session_is_fresh) ask_session();
  if (state !== "connecting") session_is_fresh = false;
  set_text(by_id("toggle"), TOGGLE_TEXT[action_offered()]);
  refresh();
}

function action_offered() {
  const { state, next_try_at } = connection;
  if (state === "open" || state === "connecting") return "stop";
  return state === "closed" && next_try_at === null ? "start" : "try_now";
}

function detail_text(now) {
  if (connection.next_try_at !== null) {
    const attempt = connection.attempt + 1;
    return `try ${attempt} in ${seconds_text(connection.next_try_at - now)}`;
  }
  if (connection.state === "reconnecting") return `try ${connection.attempt} under way`;
  if (connection.state === "connecting") return "waiting for the first bytes";
  if (connection.state === "open") {
    return `${rooms_text(connection.topics, session.user)}, since ${connection.open_since.toLocaleTimeString("en-GB")}`;
  }
  return "";
}

function refresh() {
  const now = performance.now();
  const rate = dial.rate(now);
  set_text(by_id("detail"), detail_text(now));
  set_text(by_id("rate"), rate >= 100 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1));
  set_text(by_id("cursor"), connection.cursor || "none yet");
  set_text(by_id("reconnects"), String(connection.reopened));
  set_text(by_id("received"), counts.events.toLocaleString("en"));
  set_text(by_id("heartbeats"), counts.heartbeats.toLocaleString("en"));
  set_text(by_id("gaps"), String(counts.gaps));
  by_id("gaps").dataset.some = String(counts.gaps > 0);
  set_text(by_id("retry"), seconds_text(connection.retry_ms));
  const age = connection.last_byte_at === null ? null : (now - connection.last_byte_at) / 1000;
  set_text(by_id("age"), age === null ? "none yet" : age < 1 ? "now" : `${Math.floor(age)} s ago`);
  by_id("age").dataset.stale = String(age !== null && age > STALE_SECONDS);
  dial.draw(now);
}

// The topics are part of the page's address, so that a reload or a link keeps them.
function topics_in_address() {
  return new URLSearchParams(location.hash.slice(1)).getAll("topic");
}

function topics_in_field() {
  const names = by_id("topics").value.split(",").map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== ""))];
}

function apply_topics() {
  const topics = topics_in_field();
  const field = by_id("topics");
  field.setCustomValidity(topics.length > TOPICS_MAX ? `At most ${TOPICS_MAX} topics` : "");
  if (!field.reportValidity()) return;
  if (topics.join("\n") === connection.topics.join("\n")) return;
  const hash = new URLSearchParams(topics.map((topic) => ["topic", topic])).toString();
  history.replaceState(null, "", hash === "" ? location.pathname : `#${hash}`);
  connection.start(topics);
}

by_id("topics-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  apply_topics();
});
by_id("topics").addEventListener("change", apply_topics);
by_id("toggle").addEventListener("click", () => {
  const action = action_offered();
  if (action === "stop") connection.stop("by you");
  else if (action === "start") connection.start(topics_in_field());
  else connection.try_now();
});
by_id("replay").addEventListener("click", () => connection.start(topics_in_field(), "0-0"));
window.addEventListener("hashchange", () => {
  by_id("topics").value = topics_in_address().join(", ");
  apply_topics();
});

wire_publish(
  by_id("publish-form"),
  { event: by_id("publish-event"), data: by_id("publish-data"), topic: by_id("publish-topic") },
  by_id("publish-result"),
);
show_hint();
// Where there is one column, the form would stand between the state and the events.
if (matchMedia("(max-width: 52rem)").matches) by_id("publish").open = false;

by_id("topics").value = topics_in_address().join(", ");
setInterval(refresh, REFRESH_MS);
connection.start(topics_in_field());
