// The form that publishes an event, and what the server says to it.

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
    link.href = "/login.html";
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

// The server names the field in its message; the first one that it names is marked.
async function explain(response) {
  let text = response.statusText;
  try {
    const { error } = await response.json();
    if (typeof error === "string") text = error;
  } catch {
    // The status says it.
  }
  const after = response.headers.get("retry-after");
  if (after !== null) text += ` (retry after ${after})`;
  const named = response.status === 400 ? text.match(/\b(event|data|topic)\b/i) : null;
  return { text: `${response.status} ${text}`, field: named?.[1].toLowerCase() ?? "" };
}
