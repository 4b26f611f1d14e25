// The list of events, newest first. Bounded in rows, in what it holds while paused, and in types it names.

import { is_of_server } from "./live_connection.js";
import { LINE_UNITS, SHOWN_UNITS_MAX, show_data } from "./live_data.js";

const ROWS_MAX = 500;
const TYPES_MAX = 60;
const FLUSH_MS = 60; // rows are added in batches, however many events arrive
const SERVER_TYPES = ["gap", "refused", "closing", "heartbeat"];

const two = (number) => String(number).padStart(2, "0");

function time_text(date) {
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

// The time of an event is in its ID, which matters for one that is replayed; arrival for those without.
function time_of(id, arrived) {
  const match = /^([0-9]{10,15})-[0-9]+$/.exec(id ?? "");
  return match === null ? arrived : new Date(Number(match[1]));
}

// The same type has the same colour in every session.
function hue_of(type) {
  let hash = 2166136261;
  for (const unit of type) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619);
  return (hash >>> 0) % 360;
}

function element(tag, class_name, text = "") {
  const made = document.createElement(tag);
  made.className = class_name;
  made.textContent = text;
  return made;
}

export class EventLog {
  #list;
  #scroller;
  #filter;
  #pause;
  #empty;
  #newer;
  #pending = []; // oldest first, at most ROWS_MAX
  #left_out = 0; // dropped from #pending while paused
  #unseen = 0;
  #timer = null;
  #paused = false;
  #types = new Set();
  #raw = new WeakMap();

  constructor({ list, scroller, filter, pause, clear, empty, newer }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#filter = filter;
    this.#pause = pause;
    this.#empty = empty;
    this.#newer = newer;
    filter.addEventListener("change", () => this.#apply_filter());
    pause.addEventListener("click", () => this.#set_paused(!this.#paused));
    clear.addEventListener("click", () => this.#clear());
    list.addEventListener("click", (event) => this.#toggle_raw(event.target.closest("button")));
    newer.addEventListener("click", () => this.#scroll_to_newest());
    scroller.addEventListener("scroll", () => this.#follow(), { passive: true });
    window.addEventListener("scroll", () => this.#follow(), { passive: true });
  }

  add(event) {
    this.#pending.push({ event, arrived: new Date() });
    // Half is dropped at once, so that a flood costs a constant time for each event.
    if (this.#pending.length >= ROWS_MAX * 2) {
      this.#pending.splice(0, ROWS_MAX);
      if (this.#paused) this.#left_out += ROWS_MAX;
    }
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush() {
    this.#timer = null;
    if (this.#paused) {
      this.#show_paused();
      return;
    }
    const line_units = this.#scrolls_itself() ? LINE_UNITS.wide : LINE_UNITS.narrow;
    const rows = this.#pending.slice(-ROWS_MAX).map((entry) => this.#row(entry, line_units)).reverse();
    this.#pending = [];
    const following = this.#at_newest();
    const height = this.#list.scrollHeight;
    this.#list.prepend(...rows);
    // Whoever reads further down keeps what is before the eyes; the newest wait behind a button.
    if (!following) {
      const grown = this.#list.scrollHeight - height;
      const target = this.#scrolls_itself() ? this.#scroller : document.scrollingElement;
      target.scrollTop += grown;
      this.#unseen += rows.filter((row) => !row.hidden).length;
    }
    while (this.#list.children.length > ROWS_MAX) this.#list.lastElementChild.remove();
    this.#show_newer();
    this.#show_empty();
  }

  #row({ event, arrived }, line_units) {
    const row = document.createElement("li");
    row.dataset.id = event.id ?? "";
    row.dataset.type = event.type;
    row.style.setProperty("--hue", String(hue_of(event.type)));
    const is_ours = SERVER_TYPES.some((type) => is_of_server(event, type));
    row.className = is_ours ? `row row-server row-${event.type}` : "row";
    const time = element("time", "row-time", time_text(time_of(event.id, arrived)));
    time.title = `received ${time_text(arrived)}`;
    const raw = element("button", "row-raw", "raw");
    raw.type = "button";
    raw.setAttribute("aria-expanded", "false");
    raw.setAttribute("aria-label", `frame of ${event.type} ${event.id ?? ""}`);
    const data = element("pre", "row-data");
    if (is_of_server(event, "gap")) {
      show_gap(data, event.data);
    } else if (event.data) {
      show_data(data, event.data, line_units);
    } else {
      data.append(element("span", "json-more", is_of_server(event, "heartbeat") ? "still here" : "empty"));
    }
    const type = element("span", "row-type", event.type);
    row.append(time, type, data, element("span", "row-id", event.id ?? ""), raw);
    this.#raw.set(row, event.raw.slice(0, SHOWN_UNITS_MAX));
    this.#learn(event.type);
    row.hidden = !this.#matches(event.type);
    return row;
  }

  #toggle_raw(button) {
    if (button === null) return;
    const row = button.closest("li");
    const shown = row.querySelector(".row-frame");
    button.setAttribute("aria-expanded", String(shown === null));
    if (shown !== null) shown.remove();
    else row.append(element("pre", "row-frame", this.#raw.get(row)));
  }

  #learn(type) {
    if (this.#types.has(type) || this.#types.size >= TYPES_MAX) return;
    this.#types.add(type);
    const option = new Option(type, type);
    const after = [...this.#filter.options].slice(1).find((other) => other.value > type);
    this.#filter.add(option, after ?? null);
  }

  // The first option stands for every type and has no `value` attribute, since "" could be a type's name.
  #matches(type) {
    return this.#filter.selectedIndex <= 0 || this.#filter.value === type;
  }

  #apply_filter() {
    for (const row of this.#list.children) row.hidden = !this.#matches(row.dataset.type);
    this.#unseen = 0;
    this.#show_newer();
    this.#show_empty();
  }

  #set_paused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute("aria-pressed", String(paused));
    if (paused) {
      this.#show_paused();
      return;
    }
    this.#left_out = 0;
    this.#pause.textContent = "Pause";
    this.#flush();
  }

  #show_paused() {
    const waiting = this.#pending.length + this.#left_out;
    this.#pause.textContent = waiting === 0 ? "Resume" : `Resume · ${waiting.toLocaleString("en")}`;
  }

  #clear() {
    this.#pending = [];
    this.#left_out = 0;
    this.#unseen = 0;
    this.#list.replaceChildren();
    if (this.#paused) this.#show_paused();
    this.#show_newer();
    this.#show_empty();
  }

  #show_empty() {
    const rows = [...this.#list.children];
    this.#empty.hidden = rows.length > 0;
    this.#list.dataset.allHidden = String(rows.length > 0 && rows.every((row) => row.hidden));
  }

  // On a narrow screen the whole page scrolls, on a wide one the list does.
  #scrolls_itself() {
    return getComputedStyle(this.#scroller).overflowY !== "visible";
  }

  #at_newest() {
    if (this.#scrolls_itself()) return this.#scroller.scrollTop < 8;
    return this.#list.getBoundingClientRect().top > 0;
  }

  #follow() {
    if (this.#unseen === 0 || !this.#at_newest()) return;
    this.#unseen = 0;
    this.#show_newer();
  }

  #show_newer() {
    this.#newer.hidden = this.#unseen === 0;
    this.#newer.textContent = `↑ ${Math.min(this.#unseen, ROWS_MAX)} new`;
  }

  #scroll_to_newest() {
    if (this.#scrolls_itself()) this.#scroller.scrollTop = 0;
    else this.#scroller.scrollIntoView();
    this.#unseen = 0;
    this.#show_newer();
    this.#scroller.focus({ preventScroll: true });
  }
}

function show_gap(place, data) {
  let gap = null;
  try {
    gap = JSON.parse(data);
  } catch {
    // Shown as it came.
  }
  if (gap === null || typeof gap !== "object") {
    place.textContent = data ?? "";
    return;
  }
  place.append(element("strong", "gap-title", "Events may be missing here"));
  for (const [name, label] of [["requested", "asked for"], ["oldest", "oldest kept"], ["newest", "newest"]]) {
    const part = element("span", "gap-part");
    part.append(element("span", "gap-label", label), ` ${gap[name] ?? "none"}`);
    place.append(" ", part);
  }
}
