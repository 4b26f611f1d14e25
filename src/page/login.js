// The sign-in page: sends the form, says why it was refused, and counts down while trying again is of no use.

import { address_after_sign_in, ask_session, sign_in } from "./session.js";

const TICK_MS = 250;

const by_id = (id) => document.getElementById(id);
const fields = { username: by_id("username"), password: by_id("password") };
const submit = by_id("submit");
let countdown = null;

function set_state(state) {
  document.documentElement.dataset.state = state;
  submit.textContent = state === "sending" ? "Signing in…" : "Sign in";
}

function show_refusal(text, bad_field = "") {
  by_id("refusal-text").textContent = text;
  for (const [name, field] of Object.entries(fields)) {
    if (name === bad_field) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}

function end_countdown() {
  clearInterval(countdown);
  countdown = null;
  by_id("refusal-wait").textContent = "";
  submit.disabled = false;
}

function begin_countdown(wait_ms) {
  const end = performance.now() + wait_ms;
  const tick = () => {
    const seconds = Math.ceil((end - performance.now()) / 1000);
    if (seconds > 0) {
      by_id("refusal-wait").textContent = `Try again in ${seconds} s.`;
      return;
    }
    end_countdown();
    show_refusal("You can try again now.");
    set_state("ready");
  };
  submit.disabled = true;
  countdown = setInterval(tick, TICK_MS);
  tick();
}

by_id("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  // Enter reaches this while the button is disabled, in some browsers.
  if (submit.disabled) return;
  submit.disabled = true;
  show_refusal("");
  set_state("sending");
  const refused = await sign_in(fields.username.value, fields.password.value);
  if (refused === null) {
    // Going back from there must not lead here again.
    location.replace(address_after_sign_in(location.search, location.origin));
    return;
  }
  submit.disabled = false;
  set_state("refused");
  show_refusal(refused.text, refused.field);
  fields[refused.field || "password"].focus();
  fields[refused.field || "password"].select();
  if (refused.wait_ms > 0) begin_countdown(refused.wait_ms);
});

// The wait may be of the name, and then another one need not wait.
fields.username.addEventListener("input", () => {
  if (countdown === null) return;
  end_countdown();
  show_refusal("");
  set_state("ready");
});

// A page that the browser took out again stands as it was left: while it was sending.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  end_countdown();
  show_refusal("");
  set_state("ready");
});

by_id("place").textContent = `to ${location.host}`;
ask_session().then((session) => {
  if (session.state !== "in" && session.state !== "not-needed") return;
  const link = document.createElement("a");
  link.href = address_after_sign_in(location.search, location.origin);
  link.textContent = "Go on";
  const text = session.state === "in" ? `You are signed in as ${session.user}. ` : "This server asks nobody to sign in. ";
  by_id("notice").append(text, link);
});
