// The dial: the last minute as a ring of sixty marks, one for each second, like a clock.
// A mark grows with the logarithm of the events in its second, so that one event and a thousand both show.

const SECONDS = 60;
const RATE_SECONDS = 10;
const INNER = 67;
const REST = 3;
const REACH = 29;
const EVENTS_FULL = 2000; // a second with so many events fills its mark
const SVG = "http://www.w3.org/2000/svg";

export class Dial {
  #marks = [];
  #counts = new Uint32Array(SECONDS);
  #gaps = new Uint8Array(SECONDS);
  #second;

  constructor(group, now_ms) {
    this.#second = Math.floor(now_ms / 1000);
    for (let index = 0; index < SECONDS; index += 1) {
      const mark = document.createElementNS(SVG, "line");
      mark.setAttribute("x1", "0");
      mark.setAttribute("x2", "0");
      mark.setAttribute("y1", String(-INNER));
      mark.setAttribute("transform", `rotate(${index * 6})`);
      group.append(mark);
      this.#marks.push(mark);
    }
    this.draw(now_ms);
  }

  count_event(now_ms) {
    this.#turn(now_ms);
    this.#counts[this.#second % SECONDS] += 1;
  }

  count_gap(now_ms) {
    this.#turn(now_ms);
    this.#gaps[this.#second % SECONDS] = 1;
  }

  // Events a second over the last ten whole seconds and the one under way.
  rate(now_ms) {
    this.#turn(now_ms);
    let events = 0;
    for (let age = 0; age < RATE_SECONDS; age += 1) {
      events += this.#counts[(this.#second - age + SECONDS) % SECONDS];
    }
    return events / RATE_SECONDS;
  }

  draw(now_ms) {
    this.#turn(now_ms);
    this.#marks.forEach((mark, index) => {
      const age = (this.#second - index + SECONDS * 2) % SECONDS;
      const share = Math.log1p(this.#counts[index]) / Math.log1p(EVENTS_FULL);
      const length = this.#counts[index] === 0 ? REST : REST + 4 + (REACH - REST - 4) * Math.min(1, share);
      mark.setAttribute("y2", String(-(INNER + length)));
      mark.setAttribute("opacity", age === 0 ? "1" : String(1 - 0.75 * (age / SECONDS)));
      mark.setAttribute("class", this.#kind(index, age));
    });
  }

  #kind(index, age) {
    if (this.#gaps[index] !== 0) return "dial-gap";
    if (this.#counts[index] !== 0) return "dial-events";
    return age === 0 ? "dial-now" : "dial-rest";
  }

  #turn(now_ms) {
    const second = Math.floor(now_ms / 1000);
    const passed = Math.min(second - this.#second, SECONDS);
    for (let step = 0; step < passed; step += 1) {
      this.#counts[(second - step) % SECONDS] = 0;
      this.#gaps[(second - step) % SECONDS] = 0;
    }
    this.#second = Math.max(second, this.#second);
  }
}
