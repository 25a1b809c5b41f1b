// What makes the pages live. Without it everything works too, by forms and by
// loading pages again.
"use strict";

// replace fetches a page and puts the element of the same id in place of ours.
async function replace(target, url, whole) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload();
  if (!answer.ok) return;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  const from = whole ? parsed.getElementById(target.id) : parsed.body;
  if (!from) return;
  keepPictures(target, from);
  const focused = nameOf(target.contains(document.activeElement) ? document.activeElement : null);
  target.replaceChildren(...from.childNodes);
  if (focused) [...target.querySelectorAll("a, button")].find((e) => nameOf(e) === focused)?.focus();
}

// nameOf tells a link or button from others, also in a new copy of the page, so
// that the keyboard stays where it was.
function nameOf(element) {
  if (!element) return "";
  return element.form ? element.form.action + " " + element.textContent : element.href || "";
}

// keepPictures moves pictures that are loaded already, so that they do not
// flicker.
function keepPictures(old, fresh) {
  for (const img of fresh.querySelectorAll("img")) {
    const have = [...old.querySelectorAll("img")].find((o) => o.getAttribute("src") === img.getAttribute("src"));
    if (have) img.replaceWith(have);
  }
}

const live = document.querySelector("[data-live]");
if (live) {
  let busy = false;
  let again = false;
  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await replace(live, live.dataset.live, false);
    } finally {
      busy = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };
  const events = new EventSource("/api/v1/events");
  for (const name of ["device", "batch", "page", "document", "reset"]) events.addEventListener(name, refresh);
  events.addEventListener("open", refresh);
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) refresh(); // logged out: that says so
  });
}

const search = document.querySelector("[data-results]");
if (search) {
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const url = "/documents?q=" + encodeURIComponent(search.value);
      history.replaceState(null, "", url);
      replace(document.getElementById(search.dataset.results), url, true);
    }, 150);
  });
}
