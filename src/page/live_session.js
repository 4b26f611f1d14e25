// The line that names who is signed in, and its button to sign out.

import { ask_session, sign_out } from "./session.js";

export class SessionLine {
  #elements;
  #session = { state: "unknown" };
  #asked = 0; // answers that were overtaken are not shown

  constructor({ line, user, button, result, on_signed_out }) {
    this.#elements = { line, user, button, result };
    button.addEventListener("click", async () => {
      button.disabled = true;
      result.textContent = "";
      const failure = await sign_out();
      button.disabled = false;
      if (failure !== "") {
        result.textContent = `Not signed out: ${failure}`;
        return;
      }
      this.forget();
      on_signed_out();
    });
  }

  // "" when nobody is signed in.
  get user() {
    return this.#session.state === "in" ? this.#session.user : "";
  }

  // Whether the server asks for a name, as far as it is known.
  get is_needed() {
    return this.#session.state === "in" || this.#session.state === "out";
  }

  // The server's answer, as in ask_session; shown at once, unless there was none.
  async ask() {
    const asked = (this.#asked += 1);
    const session = await ask_session();
    if (asked === this.#asked && session.state !== "unknown") this.#show(session);
    return session.state;
  }

  forget() {
    this.#asked += 1;
    this.#show({ state: "out" });
  }

  #show(session) {
    const { line, user, result } = this.#elements;
    this.#session = session;
    line.hidden = session.state !== "in";
    result.textContent = "";
    const text = session.state === "in" ? `Signed in as ${session.user}` : "";
    user.textContent = text;
    user.title = text; // a long name is cut
  }
}

// The rooms that a stream reaches: the public one, that of its user without asking, and what it asked for.
export function rooms_text(topics, user) {
  const own = user === "" ? "" : `user/${user}`;
  const others = topics.filter((topic) => topic !== own).length;
  const rooms = own === "" ? "public room" : `public room, ${own}`;
  return others === 0 ? rooms : `${rooms} and ${others} topic${others === 1 ? "" : "s"}`;
}
