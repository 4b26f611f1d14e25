// What the server's answers say besides their status.

// Retry-After, RFC 9110 section 10.2.3: seconds or a date. Null when it is absent or neither.
export function retry_after_ms(value, now_ms) {
  if (value === null) return null;
  if (/^[0-9]+$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now_ms);
}

// The text of {"error": …}, or "" when the body is something else. Reads the body.
export async function error_in(response) {
  try {
    const { error } = await response.json();
    if (typeof error === "string") return error;
  } catch {
    // The status says it.
  }
  return "";
}
