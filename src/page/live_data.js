// Shows the data of an event. Text from the stream only ever becomes text nodes.

export const SHOWN_UNITS_MAX = 16 * 1024; // of one event; with the rows' bound this bounds the page's memory
const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;

// What fits into one line, in characters: of a wide window and of a phone.
export const LINE_UNITS = { wide: 64, narrow: 38 };

// Pieces [kind, text] of the data, kind one of: text, key, string, number, word, mark, more.
// JSON is laid out again from its own tokens rather than from parsed values, which would round long
// numbers and lose repeated keys. What is no JSON object or array stays as it is.
export function pieces_of(data, line_units) {
  if (data.length > SHOWN_UNITS_MAX) {
    const rest = (data.length - SHOWN_UNITS_MAX).toLocaleString("en");
    return [["text", data.slice(0, SHOWN_UNITS_MAX)], ["more", ` … and ${rest} more characters`]];
  }
  if (!/^\s*[{[]/.test(data)) return [["text", data]];
  try {
    JSON.parse(data);
  } catch {
    return [["text", data]];
  }
  return lay_out(data.match(TOKEN), line_units);
}

// A pair of brackets stays on one line if it fits there; else each of its members gets a line.
function lay_out(tokens, line_units) {
  const widths = one_line_units(tokens);
  const pieces = [];
  const broken = []; // for each bracket that is open: has it one member a line?
  const new_line = () => `\n${"  ".repeat(broken.length)}`;
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      const key_units = tokens[index - 1] === ":" ? tokens[index - 2].length + 2 : 0;
      const units = broken.length * 2 + key_units + widths.get(index);
      const is_empty = next === "}" || next === "]";
      broken.push(!is_empty && units > line_units);
      const after = is_empty ? "" : broken.at(-1) ? new_line() : token === "{" ? " " : "";
      pieces.push(["mark", token + after]);
    } else if (token === "}" || token === "]") {
      const was_broken = broken.pop();
      const is_empty = tokens[index - 1] === "{" || tokens[index - 1] === "[";
      const before = is_empty ? "" : was_broken ? new_line() : token === "}" ? " " : "";
      pieces.push(["mark", before + token]);
    } else if (token === ",") {
      pieces.push(["mark", broken.at(-1) ? `,${new_line()}` : ", "]);
    } else if (token === ":") {
      pieces.push(["mark", ": "]);
    } else if (token[0] === '"') {
      pieces.push([next === ":" ? "key" : "string", token]);
    } else {
      pieces.push([/^[-0-9]/.test(token) ? "number" : "word", token]);
    }
  });
  return pieces;
}

// For the index of each opening bracket: the units of it and its members on one line.
function one_line_units(tokens) {
  const units = new Map();
  const open = [];
  let sum = 0;
  tokens.forEach((token, index) => {
    if (token === "{" || token === "[") open.push([index, sum]);
    sum += token.length + ("{},:".includes(token) ? 1 : 0);
    if (token === "}" || token === "]") {
      const [start, before] = open.pop();
      units.set(start, sum - before);
    }
  });
  return units;
}

export function show_data(element, data, line_units) {
  element.replaceChildren(
    ...pieces_of(data, line_units).map(([kind, text]) => {
      if (kind === "text") return document.createTextNode(text);
      const span = document.createElement("span");
      span.className = `json-${kind}`;
      span.textContent = text;
      return span;
    }),
  );
}
