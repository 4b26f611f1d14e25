// Runs in pages of the sites: what a front end does, with what it saw kept for the test.
import { EventSource as FetchEventSource } from 'eventsource';

/** One stream: `events`, `reason` of a refusal, how often it opened, whether it was given up. */
function watch(source) {
  const seen = { source, events: [], refused: [], closing: [], opened: 0, errors: 0 };
  source.addEventListener('open', () => (seen.opened += 1));
  source.addEventListener('error', (event) => {
    seen.errors += 1;
    seen.status = event.code; // the package tells it, the browser does not
  });
  source.addEventListener('heartbeat', () => (seen.greeted = true));
  for (const name of ['message', 'note']) source.addEventListener(name, (event) => seen.events.push({ id: event.lastEventId, data: event.data }));
  for (const name of ['refused', 'closing']) {
    source.addEventListener(name, (event) => seen[name].push(JSON.parse(event.data).reason));
  }
  return seen;
}

globalThis.front = {
  streams: [],

  /** The browser's own EventSource; the number of the stream. */
  listen(url, withCredentials = false) {
    return front.streams.push(watch(new EventSource(url, { withCredentials }))) - 1;
  },

  /** The npm package, which reads with fetch and so can send headers. */
  listenByFetch(url, headers) {
    const fetchWith = (address, init) => fetch(address, { ...init, headers: { ...init.headers, ...headers } });
    return front.streams.push(watch(new FetchEventSource(url, { fetch: fetchWith }))) - 1;
  },

  /** What the test may know of a stream. */
  look(index) {
    const { source, ...seen } = front.streams[index];
    return { ...seen, readyState: source.readyState };
  },

  close: (index) => front.streams[index].source.close(),

  /** {status, body, id}, or {failed} where the browser gives the page nothing. */
  async ask(url, init = {}) {
    try {
      const answer = await fetch(url, init);
      const text = await answer.text();
      const headers = {
        id: answer.headers.get('Event-Id'),
        retryAfter: answer.headers.get('Retry-After'),
      };
      let body = text;
      try {
        body = JSON.parse(text);
      } catch {
        // It is as it is.
      }
      return { status: answer.status, type: answer.type, body, ...headers };
    } catch (error) {
      return { failed: error.name };
    }
  },

  post: (url, value, { headers = {}, credentials = 'same-origin' } = {}) =>
    front.ask(url, { method: 'POST', credentials, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(value) }),

  /** The same from a sandboxed frame, whose origin is `null`. */
  async askFromFrame(url, init) {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script>onmessage = async ({ data: [url, init] }) => {
      try {
        const answer = await fetch(url, init);
        parent.postMessage({ origin, status: answer.status }, '*');
      } catch (error) {
        parent.postMessage({ origin, failed: error.name }, '*');
      }
    };</script>`;
    await new Promise((resolve) => {
      frame.onload = resolve;
      document.body.append(frame);
    });
    const said = new Promise((resolve) => addEventListener('message', (event) => resolve(event.data), { once: true }));
    frame.contentWindow.postMessage([url, init], '*');
    return said;
  },
};
