// What htmx leaves to do. Without script everything works too, by forms and by
// loading pages again.
"use strict";

// Text becomes a part of the page only if it is, whole, what our own server has
// just answered; htmx wraps an answer that is no whole page in a template. Several
// answers may wait for their place at once. One that comes for a part that is no
// longer in the page is not heard of here, and becomes nothing.
const answers = [];
document.addEventListener("htmx:beforeSwap", (e) => {
  answers.push(e.detail.serverResponse);
  if (answers.length > 8) answers.shift();
}, true);
if (window.trustedTypes) {
  const wrapped = (html) => '<body><template class="internal-htmx-wrapper">' + html + "</template></body>";
  trustedTypes.createPolicy("default", {
    createHTML: (html) => (answers.some((a) => html === a || html === wrapped(a)) ? html : wrapped("")),
  });
}

// A refusal is a page too and is shown in place of this one; a log-in that is
// over leads to the entrance.
document.addEventListener("htmx:beforeOnLoad", (e) => {
  if (e.detail.xhr.status === 401) location.reload();
});

// Without a connection, or when a log-in is over, what somebody presses comes to nothing.
// That is told until it is well again.
const offline = document.getElementById("offline");
const out = document.getElementById("out"); // only where somebody is logged in
let next = 0;
function look(wait) {
  clearTimeout(next);
  next = setTimeout(well, wait);
}
async function well() {
  let status = 0;
  const limit = new AbortController();
  setTimeout(() => limit.abort(), 15000);
  try {
    status = (await fetch("/api/v1/me", { cache: "no-store", signal: limit.signal })).status;
  } catch {
    // Nobody answers.
  }
  offline.hidden = status > 0 && status < 502; // from there on a proxy says so
  if (out && offline.hidden) out.hidden = status !== 401;
  const good = offline.hidden && (!out || out.hidden);
  if (!good) look(document.hidden ? 60000 : 3000); // nobody sees it
  return good;
}
document.addEventListener("htmx:sendError", () => look(0));
document.addEventListener("htmx:sseError", () => look(500)); // it may only have been handed over
window.addEventListener("offline", () => look(0));
window.addEventListener("online", () => look(0));
document.addEventListener("visibilitychange", () => {
  if (next && !document.hidden) look(0);
});

// A form goes out only when all is well, as what was typed would be gone with it. Who
// presses twice, or once more while the answer is on its way, means it once. Where the
// page stays, because the answer is a file or none came, another press counts later.
const going = new WeakSet();
document.addEventListener("submit", async (e) => {
  const form = e.target;
  if (form.method !== "post" || e.defaultPrevented || going.delete(form)) return;
  if ("sent" in form.dataset) {
    e.preventDefault();
    return;
  }
  form.dataset.sent = "";
  const forget = () => setTimeout(() => delete form.dataset.sent, "stays" in form.dataset ? 1000 : form.enctype === "multipart/form-data" ? 120000 : 20000);
  if (!out || !form.requestSubmit || !("submitter" in e)) {
    forget();
    return;
  }
  e.preventDefault();
  if (await well()) {
    going.add(form);
    form.requestSubmit(form.contains(e.submitter) ? e.submitter : null);
    forget();
  } else {
    delete form.dataset.sent;
  }
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// What came of a form is seen, wherever on the page that stands.
document.querySelector("main p.fault[role=alert], main .done[role=status]")?.scrollIntoView({ block: "nearest" });

// The browser knows where it is, the box does not.
const zone = document.querySelector("[data-here]");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && zone.value === "" && [...zone.list.options].some((o) => o.value === here)) {
  zone.value = here;
  document.getElementById("zone-now").hidden = true;
}

// While docscan starts anew nothing answers, or still the old one, which knows this
// log-in. Then the next log-in is due.
if (document.querySelector("[data-anew]")) {
  setInterval(async () => {
    try {
      const answer = await fetch("/api/v1/me", { cache: "no-store" });
      if (answer.status === 401) location.replace("/login");
    } catch {
      // Not yet.
    }
  }, 2000);
}

// A menu closes when something else is meant.
document.addEventListener("click", (e) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(e.target)) menu.open = false;
});
document.addEventListener("keydown", (e) => {
  const menu = e.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// What a search has found is also said to those who do not see it: only a part of the
// page that stays is heard.
document.addEventListener("htmx:afterSwap", () => {
  const said = document.getElementById("said");
  if (said) said.textContent = document.querySelector("#results .found p, #results .empty")?.textContent || "";
});

// How many documents are chosen, and choosing all of them.
document.addEventListener("change", (e) => {
  const form = e.target.closest("form.bulk");
  if (!form) return;
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const all = form.querySelector("[data-all]");
  if (e.target === all) for (const b of boxes) b.checked = all.checked;
  if (e.target.name === "do") { // what is suggested is what it takes
    const said = { type: "said-types", from: "said-senders" };
    form.elements.value.setAttribute("list", said[e.target.value] || "said-tags");
  }
  showChosen(form);
});
for (const form of document.querySelectorAll("form.bulk")) showChosen(form);
function showChosen(form) {
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const chosen = boxes.filter((b) => b.checked).length;
  form.classList.toggle("choosing", chosen > 0);
  const all = form.querySelector("[data-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  const every = form.querySelector("input[name=all]")?.checked; // and not what is ticked
  const count = form.querySelector("[data-count]");
  if (count) count.textContent = chosen && !every ? String(chosen) : "";
}

// Keys: an element with data-key is what its key does, unless the person has
// switched that off. In a list, j and k go down and up and x chooses.
const keys = document.body.dataset.keys !== undefined;
document.addEventListener("keydown", (e) => {
  if (!keys || e.ctrlKey || e.altKey || e.metaKey || e.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
  if (e.key === "j" || e.key === "k") return step(e.key === "j" ? 1 : -1);
  if (e.key === "n" || e.key === "p") return nextHit(e.key === "n" ? 1 : -1);
  if (e.key === "x") {
    const box = document.activeElement.closest("li")?.querySelector("input[name=id]");
    box?.click();
    return;
  }
  if (e.key === "?") {
    e.preventDefault();
    document.getElementById("keys")?.showModal();
    return;
  }
  const meant = document.querySelector('[data-key="' + CSS.escape(e.key) + '"]');
  if (!meant) return;
  e.preventDefault();
  if (meant.matches("input")) meant.select();
  meant.focus();
  if (!meant.matches("input")) meant.click();
});
function step(by) {
  const rows = [...document.querySelectorAll(".rows li > a, .cards a, .page")];
  if (rows.length === 0) return;
  const at = rows.findIndex((r) => r.contains(document.activeElement) || r.closest("li")?.contains(document.activeElement));
  const to = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  to.focus();
  to.scrollIntoView({ block: "nearest" });
}

// The hits on the pages of a document, one after the other.
let hit = -1;
function nextHit(by) {
  const hits = document.querySelectorAll(".hit");
  if (hits.length === 0) return;
  hits[hit]?.classList.remove("at");
  hit = (hit + by + hits.length) % hits.length;
  hits[hit].classList.add("at");
  hits[hit].scrollIntoView({ block: "center" });
}
