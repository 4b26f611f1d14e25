// A parser for the event stream format, written to the HTML standard, section 9.2 "Server-sent events"
// (9.2.5 Parsing an event stream, 9.2.6 Interpreting an event stream).
//
// The browser's own EventSource hands an event only to listeners that know its type beforehand. This page
// shows every type, and the frame as it came, so it reads the stream itself.

const LINE_END = /\r\n?|\n/g;
const DIGITS = /^[0-9]+$/;

// Longest unfinished event that is held, in UTF-16 units. A server that never ends one must not fill the tab.
export const EVENT_UNITS_MAX = 16 * 1024 * 1024;

// Bytes go in, in pieces of any size, cut anywhere; whole events come out.
//
//   on_event({type, data, id, last_event_id, retry, raw})
//       id: what this very event carried, or null. last_event_id: what a reconnection has to ask for.
//       raw: the lines of the frame. Also called for a frame without data, with data null: a browser
//       does not dispatch it, but it moves the cursor.
//   on_retry(milliseconds)
//
// A new connection gets a new parser. It starts with the last event ID of the connection before, as
// browsers do, so that an event without an ID does not make them forget it.
export class EventStreamParser {
  #on_event;
  #on_retry;
  #decoder = new TextDecoder("utf-8"); // replaces what is not UTF-8 and takes one leading BOM away
  #unfinished = ""; // the line whose end has not come yet
  #held = 0; // units in the lines of the unfinished event
  #last_was_cr = false;
  #last_event_id;
  #id_buffer;
  #data = null; // null until a data field came
  #type = "";
  #id = null;
  #retry = null;
  #lines = [];

  constructor({ last_event_id = "", on_event, on_retry = () => {} }) {
    this.#last_event_id = last_event_id;
    this.#id_buffer = last_event_id;
    this.#on_event = on_event;
    this.#on_retry = on_retry;
  }

  get last_event_id() {
    return this.#last_event_id;
  }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return;
    // A CR ends a line at once; if its LF is in the next piece, it must not end another one.
    if (this.#last_was_cr && text[0] === "\n") text = text.slice(1);
    if (text === "") {
      this.#last_was_cr = false;
      return;
    }
    this.#last_was_cr = text.endsWith("\r");

    const scan_from = this.#unfinished.length;
    const all = this.#unfinished + text;
    let start = 0;
    LINE_END.lastIndex = scan_from;
    for (let end = LINE_END.exec(all); end !== null; end = LINE_END.exec(all)) {
      const next = LINE_END.lastIndex;
      this.#line(all.slice(start, end.index));
      start = next;
      LINE_END.lastIndex = next;
    }
    this.#unfinished = all.slice(start);
    if (this.#held + this.#unfinished.length > EVENT_UNITS_MAX) {
      throw new Error("an event is too long for this page");
    }
  }

  // What is unfinished when the stream ends is dropped, as the standard asks: just do not call push again.

  #line(line) {
    if (line === "") {
      this.#dispatch();
      return;
    }
    this.#lines.push(line);
    this.#held += line.length + 1;
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") value = value.slice(1);

    if (field === "data") {
      (this.#data ??= []).push(value);
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id") {
      if (!value.includes("\0")) this.#id = this.#id_buffer = value;
    } else if (field === "retry" && DIGITS.test(value)) {
      this.#retry = Number(value);
      this.#on_retry(this.#retry);
    }
  }

  #dispatch() {
    this.#last_event_id = this.#id_buffer;
    const event = {
      type: this.#type || "message",
      data: this.#data === null ? null : this.#data.join("\n"),
      id: this.#id,
      last_event_id: this.#last_event_id,
      retry: this.#retry,
      raw: this.#lines.join("\n"),
    };
    this.#data = null;
    this.#type = "";
    this.#id = null;
    this.#retry = null;
    this.#held = 0;
    if (this.#lines.length === 0) return;
    this.#lines = [];
    this.#on_event(event);
  }
}
