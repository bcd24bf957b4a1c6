"use strict";
// The reader of records. Text of the corpus enters the page through textContent alone; offsets are Unicode code
// points and are turned into UTF-16 positions of JavaScript's strings by `utf16Positions`.

const VERDICTS = {
  supported: { sign: "✓", name: "supported" },
  contradicted: { sign: "✕", name: "contradicted" },
  unsupported: { sign: "−", name: "unsupported" },
  unverified: { sign: "?", name: "unverified" },
};
const GRAVITY = ["contradicted", "unsupported", "unverified", "supported"]; // which verdict shows where claims overlap
// Controls that have no shape, or would turn the order of the text around: shown by their code.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

const records = JSON.parse(document.getElementById("records").textContent);
const $ = (id) => document.getElementById(id);
const state = { shown: records.map((_, index) => index), at: -1, view: "claims", pinned: -1, active: -1 };

function element(tag, { className, text, attributes = {} } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- offsets ------------------------------------------------------------------------------------------------------

/** UTF-16 position of every code point in `points` (ascending, none beyond the end of `text`). */
function utf16Positions(text, points) {
  const positions = [];
  let position = 0;
  let point = 0;
  for (const wanted of points) {
    while (point < wanted && position < text.length) {
      position += text.codePointAt(position) > 0xffff ? 2 : 1;
      point += 1;
    }
    positions.push(position);
  }
  return positions;
}

function codePointLength(text) {
  let length = 0;
  for (let position = 0; position < text.length; length += 1) position += text.codePointAt(position) > 0xffff ? 2 : 1;
  return length;
}

/** The text cut at every edge of `spans` ({start, end, ...}): [{start, end, text, spans: [those that cover it]}]. */
function cutAtSpans(text, spans) {
  const length = codePointLength(text);
  const whole = spans.filter((span) => span.start >= 0 && span.end <= length && span.start < span.end);
  const edges = [...new Set([0, length, ...whole.flatMap((span) => [span.start, span.end])])].sort((a, b) => a - b);
  const positions = utf16Positions(text, edges);
  const opening = new Map();
  for (const span of whole) opening.set(span.start, [...(opening.get(span.start) ?? []), span]);
  let open = [];
  const pieces = [];
  for (let index = 0; index + 1 < edges.length; index += 1) {
    const start = edges[index];
    open = open.filter((span) => span.end > start).concat(opening.get(start) ?? []);
    const piece = text.slice(positions[index], positions[index + 1]);
    pieces.push({ start, end: edges[index + 1], text: piece, spans: open });
  }
  return pieces;
}

/** `text` as nodes; controls stand in elements of their own, isolated, so that they turn nothing outside around. */
function textNodes(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(CONTROLS)) {
    if (match.index > from) nodes.push(document.createTextNode(text.slice(from, match.index)));
    const code = match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    nodes.push(element("bdi", { className: "control", text: match[0], attributes: { "data-code": `U+${code}` } }));
    from = match.index + 1;
  }
  if (from < text.length) nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}
