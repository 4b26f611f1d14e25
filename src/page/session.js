// Who this browser is signed in as. The token is in a cookie that no script can read, so the server is asked.

import { error_in, retry_after_ms } from "./answers.js";

const ASK_MS = 10_000;
const SIGN_IN_MS = 30_000; // passwords are slow to check by design, and may have to queue

// One of
//   {state: "in", user}      signed in
//   {state: "out"}           nobody is, and the server wants somebody
//   {state: "not-needed"}    the server asks nobody
//   {state: "unknown"}       the server did not say; a stream may still open
export async function ask_session() {
  try {
    const response = await fetch("/session", { cache: "no-store", signal: AbortSignal.timeout(ASK_MS) });
    if (response.status === 401) return { state: "out" };
    if (!response.ok) return { state: "unknown" };
    const { required, user } = await response.json();
    if (required === false) return { state: "not-needed" };
    if (typeof user === "string") return { state: "in", user };
  } catch {
    // No answer, or none that can be read.
  }
  return { state: "unknown" };
}

// Null when signed in. Else why not, for a person to read: {text, wait_ms, field}. `wait_ms` is how long
// trying again is of no use, `field` the one to look at again, "" when neither is at fault.
export async function sign_in(username, password) {
  let response;
  try {
    response = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username, password }),
      signal: AbortSignal.timeout(SIGN_IN_MS),
    });
  } catch {
    return { text: "The server does not answer.", wait_ms: 0, field: "" };
  }
  if (response.ok) return null;
  const error = await error_in(response);
  const wait_ms = retry_after_ms(response.headers.get("retry-after"), Date.now()) ?? 0;
  switch (response.status) {
    case 401:
      return { text: "Wrong name or password.", wait_ms, field: "password" };
    case 404:
      return { text: "This server does not sign in by name and password.", wait_ms, field: "" };
    case 429:
      return { text: "Too many attempts to sign in.", wait_ms, field: "" };
    case 503:
      return { text: "The server is busy.", wait_ms, field: "" };
    default: {
      const said = error || `The server answers ${response.status} ${response.statusText}`.trim();
      const named = response.status === 400 ? /\b(username|password)\b/.exec(error) : null;
      return { text: said, wait_ms, field: named?.[1] ?? "" };
    }
  }
}

// "" when signed out, else why not. A token that is no longer taken is as good as none.
export async function sign_out() {
  try {
    const response = await fetch("/logout", { method: "POST", signal: AbortSignal.timeout(ASK_MS) });
    if (response.ok || response.status === 401) return "";
    return `${response.status} ${(await error_in(response)) || response.statusText}`.trim();
  } catch {
    return "the server does not answer";
  }
}

// Where to go after signing in: what `next` of the query names, if it is a path of this origin, else "/".
// The whole address is returned, since a path such as //host, left over from /.//host, would lead away.
export function address_after_sign_in(query, origin) {
  const next = new URLSearchParams(query).get("next") ?? "";
  const home = `${origin}/`;
  if (!/^\/(?![/\\])/.test(next)) return home;
  // Not all that begins so stays here: the URL parser drops a tab or a line end between two slashes.
  const address = new URL(next, home);
  return address.origin === origin ? address.href : home;
}

// The sign-in page, which leads back to this address.
export function sign_in_address({ pathname, search, hash }) {
  const here = `${pathname}${search}${hash}`;
  return here === "/" ? "/login.html" : `/login.html?next=${encodeURIComponent(here)}`;
}
