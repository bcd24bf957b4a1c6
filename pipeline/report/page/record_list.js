// ---- what a record says of itself ---------------------------------------------------------------------------------

const verdictOf = (claim) => claim.verdict ?? "unverified";
const wrongClaims = (record) => record.claims.filter((c) => c.verdict === "unsupported" || c.verdict === "contradicted").length;

function faithfulness(record) {
  const judged = record.claims.filter((claim) => claim.verdict).length;
  return judged ? (judged - wrongClaims(record)) / judged : null;
}

function searchText(record) {
  record.searchText ??= [
    record.id,
    record.response,
    ...record.prompt.map((message) => message.content),
    ...record.claims.map((claim) => claim.text),
    ...record.context.map((passage) => passage.text),
  ].join("\n").toLowerCase();
  return record.searchText;
}

const ORDERS = {
  sampled: () => 0,
  wrong: (a, b) => wrongClaims(b) - wrongClaims(a),
  faithful: (a, b) => (faithfulness(a) ?? 2) - (faithfulness(b) ?? 2),
  long: (a, b) => b.response.length - a.response.length,
  id: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
};

const severalPolicies = new Set(records.map((record) => record.policy)).size > 1;

// ---- the list -----------------------------------------------------------------------------------------------------

function filterRecords() {
  const words = $("search").value.trim().toLowerCase();
  const policy = $("policy").value;
  const kind = $("kind").value;
  const order = ORDERS[$("sort").value];
  const before = records[state.shown[state.at]];
  const matches = (record) =>
    (policy === "" || `=${record.policy ?? ""}` === policy) &&
    (kind === "" || record.kinds.includes(kind)) &&
    (words === "" || searchText(record).includes(words));
  state.shown = records.map((_, index) => index).filter((index) => matches(records[index]));
  state.shown.sort((a, b) => order(records[a], records[b]) || a - b);
  $("count").textContent = `${state.shown.length} of ${records.length} ${records.length === 1 ? "record" : "records"}`;
  $("none").hidden = state.shown.length > 0 || records.length === 0;
  drawList();
  const kept = state.shown.findIndex((index) => records[index] === before);
  select(kept >= 0 ? kept : 0, false);
}

const LIST_STEP = 100; // items drawn at a time: thousands in one go would hold up every letter of a search

function drawList() {
  $("list").replaceChildren();
  growList(LIST_STEP);
}

/** Draw the list up to `count` items, if there are so many. */
function growList(count) {
  const from = $("list").childElementCount;
  $("list").append(...state.shown.slice(from, count).map((index, nth) => listItem(records[index], from + nth)));
}

function listItem(record, place) {
  const counts = Object.keys(VERDICTS).map((verdict) => [
    verdict,
    record.claims.filter((claim) => verdictOf(claim) === verdict).length,
  ]);
  const tallies = counts
    .filter(([, count]) => count)
    .map(([verdict, count]) =>
      element("span", {
        className: `tally ${verdict}`,
        text: `${VERDICTS[verdict].sign} ${count}`,
        attributes: { title: `${count} ${verdict}`, role: "img", "aria-label": `${count} ${verdict}` },
      }),
    );
  if (!record.claims.length) tallies.push(element("span", { className: "tally", text: "no claims" }));
  const button = element(
    "button",
    { attributes: { type: "button", tabindex: -1, "data-place": place } },
    element("bdi", { className: "id" }, ...textNodes(record.id)),
    element("span", { className: "tallies" }, ...tallies),
  );
  if (severalPolicies) button.append(element("bdi", { className: "of-policy" }, ...textNodes(record.policy ?? "no policy")));
  button.addEventListener("click", () => select(place, false));
  return element("li", { attributes: { "aria-setsize": state.shown.length, "aria-posinset": place + 1 } }, button);
}

function select(place, focus) {
  if (!state.shown.length) {
    state.at = -1;
    $("record").replaceChildren();
    return;
  }
  state.at = Math.max(0, Math.min(place, state.shown.length - 1));
  state.pinned = state.active = -1;
  const list = $("list");
  const before = list.querySelector("[aria-current]");
  before?.removeAttribute("aria-current");
  if (before) before.tabIndex = -1;
  if (state.at >= list.childElementCount) growList(state.at + LIST_STEP);
  const button = list.children[state.at].firstElementChild;
  button.tabIndex = 0;
  button.setAttribute("aria-current", "true");
  if (focus) button.focus({ preventScroll: true });
  if (button.offsetTop < list.scrollTop) list.scrollTop = button.offsetTop;
  const below = button.offsetTop + button.offsetHeight - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
  drawRecord(records[state.shown[state.at]]);
}

$("list").addEventListener("scroll", () => {
  const left = $("list").scrollHeight - $("list").scrollTop - $("list").clientHeight;
  if (left < $("list").clientHeight) growList($("list").childElementCount + LIST_STEP);
});

$("list").addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  if (!(event.key in steps)) return;
  event.preventDefault();
  select(state.at + steps[event.key], true);
});

// ---- the address of a record: page.html#record=ID -----------------------------------------------------------------

function addressOf(record) {
  const parts = record.label_set ? { record: record.id, set: record.label_set } : { record: record.id };
  return `#${new URLSearchParams(parts)}`;
}

/** Show the record that the page's address names, if it names one that is here. */
function followAddress() {
  const wanted = records.findIndex((record) => addressOf(record) === location.hash);
  if (wanted < 0) return;
  if (!state.shown.includes(wanted)) {
    for (const id of ["search", "policy", "kind"]) $(id).value = "";
    filterRecords();
  }
  select(state.shown.indexOf(wanted), false);
  $("reader").scrollIntoView({ behavior: "instant" });
}

addEventListener("hashchange", followAddress);

// ---- theme, filters, start --------------------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
$("theme").addEventListener("click", () => {
  const now = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length];
  document.documentElement.dataset.theme = now;
  $("theme").textContent = `Theme: ${now}`;
});

function fillPolicies() {
  const policies = [...new Set(records.map((record) => record.policy ?? ""))].sort();
  for (const policy of policies) {
    const shown = (policy || "none").replace(CONTROLS, "\ufffd");
    $("policy").append(element("option", { text: shown, attributes: { value: `=${policy}` } }));
  }
}

let waiting = 0;
$("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(filterRecords, 120);
});
for (const id of ["policy", "kind"]) $(id).addEventListener("change", filterRecords);
$("sort").addEventListener("change", () => {
  state.at = -1; // who asks for the worst wants to see the worst, not where the present record stands
  filterRecords();
});
$("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  filterRecords();
});
$("filters").addEventListener("reset", () => setTimeout(filterRecords, 0));
$("reset-none").addEventListener("click", () => $("filters").reset());
