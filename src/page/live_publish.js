// The form that publishes an event, and what the server says to it.

import { error_in } from "./answers.js";
import { sign_in_address } from "./session.js";

const FIELDS = ["event", "data", "topic"];

export function wire_publish(form, fields, result) {
  const send = form.querySelector("button[type=submit]");

  const show = (kind, text, bad_field = "") => {
    result.dataset.kind = kind;
    result.textContent = text;
    for (const name of FIELDS) {
      if (name === bad_field) fields[name].setAttribute("aria-invalid", "true");
      else fields[name].removeAttribute("aria-invalid");
    }
    if (bad_field !== "") fields[bad_field].focus();
  };

  const sign_in_link = () => {
    const link = document.createElement("a");
    link.href = sign_in_address(location);
    link.textContent = "Sign in";
    result.append(" ", link);
  };

  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    const body = { data: fields.data.value };
    if (fields.event.value !== "") body.event = fields.event.value;
    if (fields.topic.value !== "") body.topic = fields.topic.value;
    send.disabled = true;
    show("", "Sending…");
    try {
      const response = await fetch("/publish", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (response.ok) {
        show("done", `Event-Id: ${response.headers.get("event-id") ?? "not told"}`);
        return;
      }
      const { text, field } = await explain(response);
      show("failed", text, field);
      if (response.status === 401) sign_in_link();
    } catch {
      show("failed", "The server does not answer. It is unknown whether the event was published.");
    } finally {
      send.disabled = false;
    }
  });

  fields.data.addEventListener("keydown", (key) => {
    if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) {
      key.preventDefault();
      form.requestSubmit();
    }
  });
}

async function explain(response) {
  const error = await error_in(response);
  const after = response.headers.get("retry-after");
  const wait = after === null ? "" : ` (retry after ${after})`;
  return {
    text: `${response.status} ${error || response.statusText}${wait}`,
    field: field_to_mark(response.status, error),
  };
}

// The server names the field in its message; the first one that it names is marked. A refusal that is not
// about a field, as of an origin, may have such a word in it, but does not begin with one.
export function field_to_mark(status, error) {
  const pattern = { 400: /\b(event|data|topic)\b/i, 403: /^(topic):/ }[status];
  return pattern?.exec(error)?.[1].toLowerCase() ?? "";
}
