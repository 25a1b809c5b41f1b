// A page that changes does so by pages.js. A browser that is too old to understand
// that file loads the page again instead, as one without script does. Written for
// browsers of 2013.
window.addEventListener("load", function () {
  "use strict";
  if (!window.htmx) setTimeout(function () { location.reload(); }, 3000);
});
