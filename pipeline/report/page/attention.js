// ---- a claim, its words and its evidence -----------------------------------------------------------------------------

function covering(target) {
  const mark = target.closest?.("[data-claims]");
  return mark && mark.dataset.claims ? mark.dataset.claims.split(" ").map(Number) : [];
}

function activate(claim) {
  state.active = claim;
  for (const mark of $("record").querySelectorAll("[data-claims]"))
    mark.classList.toggle("active", claim >= 0 && mark.dataset.claims.split(" ").includes(String(claim)));
  for (const item of $("record").querySelectorAll(".claims > li"))
    item.classList.toggle("active", Number(item.dataset.claim) === claim);
}

function pin(claim) {
  state.pinned = claim;
  activate(claim);
  for (const button of $("record").querySelectorAll(".claims button"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.claim) === claim));
  if (claim < 0) return;
  for (const id of ["response", "context"]) scrollInside($(id), $(id).querySelector(".active"));
}

/** Bring `mark` into view inside its own scrolling box; the page itself stays where it is. */
function scrollInside(box, mark) {
  if (!mark) return;
  const offset = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
  if (offset < 0 || offset > box.clientHeight - 24) box.scrollTop += offset - 24;
}

$("record").addEventListener("mouseover", (event) => {
  const claims = covering(event.target);
  if (claims.length) activate(claims.includes(state.pinned) ? state.pinned : claims[claims.length - 1]);
});
$("record").addEventListener("mouseout", (event) => {
  if (covering(event.target).length) activate(state.pinned);
});
$("record").addEventListener("click", (event) => {
  const claims = covering(event.target);
  if (!claims.length || !getSelection().isCollapsed) return; // text being selected is not a click
  const next = claims.indexOf(state.pinned) + 1; // a second click goes to the next claim about the same words
  pin(next < claims.length ? claims[next] : -1);
  if (state.pinned >= 0) $("claims").querySelector(`button[data-claim="${state.pinned}"]`).scrollIntoView({ block: "nearest" });
});
$("record").addEventListener("keydown", (event) => {
  if (event.key === "Escape") pin(-1);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches(".claims button")) return;
  event.preventDefault();
  $("claims").querySelector(`button[data-claim="${Number(event.target.dataset.claim) + step}"]`)?.focus();
});

// All parts are there: begin.
fillPolicies();
filterRecords();
followAddress();
document.documentElement.dataset.ready = "true";
