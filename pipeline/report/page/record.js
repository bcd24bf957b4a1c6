// ---- one record ---------------------------------------------------------------------------------------------------

const SHORT_PROMPT = 300; // characters; a longer prompt is folded

function drawRecord(record) {
  const parts = [header(record)];
  const prompt = element("details", { className: "prompt" }, element("summary", { text: "Prompt" }));
  prompt.open = record.prompt.reduce((sum, message) => sum + message.content.length, 0) <= SHORT_PROMPT;
  for (const message of record.prompt) {
    if (message.role) prompt.append(element("p", { className: "role", text: message.role }));
    prompt.append(element("div", { className: "text", attributes: { dir: "auto" } }, ...textNodes(message.content)));
  }
  const left = element("div", { className: "column" }, responsePart(record), claimsPart(record));
  const right = element("div", { className: "column" }, contextPart(record));
  parts.push(prompt, element("div", { className: "columns" }, left, right));
  $("record").replaceChildren(...parts);
}

const enginesOf = (claim) => [claim.extractor, claim.verifier].filter(Boolean).join(" → ");

function header(record) {
  const faithful = faithfulness(record);
  const facts = [
    ["policy", record.policy ?? "none"],
    ["faithfulness", faithful === null ? "no claim with a verdict" : faithful.toFixed(2)],
    ["status", record.status.replace("_", " ")],
    ["tokens", `${record.n_tokens} (${record.n_tokens_supported} of +1, ${record.n_tokens_unsupported} of −1)`],
    ["claims too doubtful to label", record.n_doubtful ? String(record.n_doubtful) : ""],
    ["group", record.group_id],
    ["engines", [...new Set(record.claims.map(enginesOf))].filter(Boolean).join(", ")],
    ["from", `${record.source}, record ${record.source_row}`],
  ];
  if (record.label_set) facts.push(["label set", record.label_set]);
  const list = element("dl", { className: "facts" });
  for (const [name, value] of facts.filter(([, value]) => value !== ""))
    list.append(element("div", {}, element("dt", { text: name }), element("dd", {}, element("bdi", {}, ...textNodes(value)))));
  const address = element("a", { attributes: { href: addressOf(record), title: "Address of this record" } });
  address.append(element("bdi", {}, ...textNodes(record.id)));
  const title = element("h3", {}, address);
  const place = element("span", { className: "place", text: `${state.at + 1} of ${state.shown.length}` });
  const step = (id, text, to) => {
    const button = element("button", { text, attributes: { type: "button", id } });
    button.disabled = to < 0 || to >= state.shown.length;
    button.addEventListener("click", () => {
      select(to, false);
      const again = $(id);
      (again.disabled ? $(id === "next" ? "previous" : "next") : again).focus();
    });
    return button;
  };
  const steps = element("div", { className: "steps" }, step("previous", "← Previous", state.at - 1), place, step("next", "Next →", state.at + 1));
  return element("header", {}, element("div", { className: "title" }, title, steps), list);
}

const VIEWS = {
  claims: { name: "Claims", spans: claimSpans },
  labels: { name: "Token labels", spans: labelSpans },
  gold: { name: "Human spans", spans: goldSpans },
};

function claimSpans(record) {
  const of = (kind) => (claim, number) => claim[kind].map((span) => ({ ...span, claim: number, verdict: verdictOf(claim), error: kind === "error_spans" }));
  return [...record.claims.flatMap(of("spans")), ...record.claims.flatMap(of("error_spans"))];
}

function labelSpans(record) {
  return record.label_spans.map((span) => ({ ...span, verdict: span.label > 0 ? "supported" : "contradicted", error: span.label < 0 }));
}

function goldSpans(record) {
  return (record.gold_spans ?? []).map((span) => ({ ...span, verdict: "contradicted", error: true, title: span.label }));
}

function responsePart(record) {
  const names = Object.keys(VIEWS).filter((view) => view !== "gold" || record.gold_spans !== null);
  if (!names.includes(state.view)) state.view = "claims";
  const choice = element("fieldset", { className: "views" }, element("legend", { text: "Mark" }));
  for (const view of names) {
    const input = element("input", { attributes: { type: "radio", name: "view", value: view, id: `view-${view}` } });
    input.checked = view === state.view;
    input.addEventListener("change", () => {
      state.view = view;
      drawResponse(record);
    });
    choice.append(element("span", {}, input, element("label", { text: VIEWS[view].name, attributes: { for: `view-${view}` } })));
  }
  const text = element("div", {
    className: "text response",
    attributes: { id: "response", dir: "auto", tabindex: 0, role: "group", "aria-label": "Response text" },
  });
  const part = element("section", { attributes: { "aria-label": "Response" } }, element("h4", { text: "Response" }), choice, text, element("p", { className: "key", attributes: { id: "key" } }));
  queueMicrotask(() => drawResponse(record));
  return part;
}

function drawResponse(record) {
  const pieces = cutAtSpans(record.response, VIEWS[state.view].spans(record));
  $("response").dataset.view = state.view;
  $("response").replaceChildren(...(record.response ? pieces.map(piece) : [element("em", { text: "(empty)" })]));
  const said = {
    claims: "Underlined: claims; shaded: the words that a verifier found wrong. Hover to see a claim, click to keep it and its evidence.",
    labels: "What training sees: + is label +1, − is label −1, unmarked text is neutral.",
    gold: record.gold_spans?.length ? "Marked by people as wrong." : "People marked nothing as wrong.",
  };
  $("key").textContent = said[state.view];
  activate(state.pinned);
}

function piece({ start, end, text, spans }) {
  if (!spans.length) return element("span", { attributes: { "data-start": start, "data-end": end } }, ...textNodes(text));
  const verdicts = new Set(spans.map((span) => span.verdict));
  const claims = [...new Set(spans.map((span) => span.claim).filter((claim) => claim !== undefined))];
  const classes = ["mark", GRAVITY.find((verdict) => verdicts.has(verdict))];
  if (spans.some((span) => span.error)) classes.push("error");
  const mark = element(
    "span",
    { className: classes.join(" "), attributes: { "data-start": start, "data-end": end, "data-claims": claims.join(" ") } },
    ...textNodes(text),
  );
  const titles = spans.map((span) => span.title).filter(Boolean);
  if (titles.length) mark.title = titles.join("; ");
  // A claim's number stands where it begins; drawn by CSS, so that the text stays the response's own.
  const begins = spans.filter((span) => span.claim !== undefined && !span.error && span.start === start);
  if (begins.length) mark.dataset.numbers = [...new Set(begins.map((span) => span.claim + 1))].join(",");
  return mark;
}

function claimsPart(record) {
  const list = element("ol", { className: "claims", attributes: { id: "claims" } });
  record.claims.forEach((claim, number) => list.append(claimItem(record, claim, number)));
  const body = record.claims.length ? list : element("p", { className: "quiet", text: "None: nothing checkable was said." });
  return element("section", { attributes: { "aria-label": "Claims" } }, element("h4", { text: `Claims (${record.claims.length})` }), body);
}

function claimItem(record, claim, number) {
  const verdict = verdictOf(claim);
  const button = element(
    "button",
    { attributes: { type: "button", "aria-pressed": "false", "data-claim": number } },
    element("span", { className: `badge ${verdict}`, text: `${VERDICTS[verdict].sign} ${VERDICTS[verdict].name}` }),
    ...(claim.doubtful ? [element("span", { className: "doubt", text: "too doubtful to label" })] : []),
    element("bdi", { className: "claim-text" }, ...textNodes(claim.text)),
  );
  button.addEventListener("click", () => pin(state.pinned === number ? -1 : number));
  button.addEventListener("focus", () => activate(number));
  button.addEventListener("blur", () => activate(state.pinned));
  const item = element("li", { className: verdict, attributes: { "data-claim": number } }, button, claimDetails(record, claim));
  item.addEventListener("mouseenter", () => activate(number));
  item.addEventListener("mouseleave", () => activate(state.pinned));
  return item;
}

function claimDetails(record, claim) {
  const details = element("div", { className: "details" });
  const place = { exact: "", unmatched: "not found in the response" }[claim.alignment] ?? `${claim.alignment} match in the response`;
  const score = claim.score === null ? "" : `P(supported) ${claim.score.toFixed(2)}`;
  const said = [claim.reason, claim.verdict ? "" : claim.status, place, score].filter(Boolean).join(" · ");
  if (said) details.append(element("p", { attributes: { dir: "auto" } }, ...textNodes(said)));
  for (const evidence of claim.evidence) {
    const passage = record.context.find((one) => one.passage_id === evidence.passage_id);
    const length = passage ? codePointLength(passage.text) : 0;
    const there = passage && evidence.start >= 0 && evidence.start < evidence.end && evidence.end <= length;
    const [from, to] = there ? utf16Positions(passage.text, [evidence.start, evidence.end]) : [0, 0];
    const quote = there ? passage.text.slice(from, to) : "not in the context";
    const where = element("b", {}, element("bdi", {}, ...textNodes(`${evidence.passage_id}: `)));
    details.append(element("p", { className: "quote" }, where, element("bdi", {}, ...textNodes(quote))));
  }
  return details;
}

function contextPart(record) {
  const box = element("div", { className: "context", attributes: { id: "context", tabindex: 0, role: "group", "aria-label": "Context passages" } });
  if (!record.context.length) box.append(element("p", { className: "quiet", text: "No context." }));
  record.context.forEach((passage) => {
    const evidence = record.claims.flatMap((claim, number) =>
      claim.evidence.filter((one) => one.passage_id === passage.passage_id).map((one) => ({ ...one, claim: number })),
    );
    const pieces = cutAtSpans(passage.text, evidence).map(({ start, end, text, spans }) => {
      const claims = [...new Set(spans.map((span) => span.claim))].join(" ");
      const attributes = { "data-start": start, "data-end": end, "data-claims": claims };
      return element(spans.length ? "mark" : "span", { className: spans.length ? "evidence" : "", attributes }, ...textNodes(text));
    });
    const body = element("div", { className: "text", attributes: { dir: "auto" } }, ...pieces);
    const title = element("h5", {}, element("bdi", {}, ...textNodes(passage.passage_id)));
    box.append(element("section", { attributes: { "data-passage": passage.passage_id } }, title, body));
  });
  return element("section", { className: "sticky", attributes: { "aria-label": "Context" } }, element("h4", { text: "Context" }), box);
}
