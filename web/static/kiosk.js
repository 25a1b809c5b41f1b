// Keeps the kiosk true: by events where the browser has them, else by asking.
// Written for browsers of 2013; without script the page loads itself again.
(function () {
  "use strict";
  var now = document.getElementById("now");
  var offline = document.getElementById("offline");
  var answer = null;
  var busy = false;
  var again = false;
  var source = null;
  var heard = 0; // when something last came, in milliseconds
  var pressing = false; // a button was pressed, and the next page is to come
  var opened = new Date().getTime();
  var problem = document.getElementById("problem");

  if (window.trustedTypes) {
    // Only what our own server has just answered becomes a part of the page.
    window.trustedTypes.createPolicy("default", {
      createHTML: function (html) { return html === answer ? html : null; }
    });
  }

  function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    var ask = new XMLHttpRequest();
    ask.open("GET", "/kiosk/now");
    ask.setRequestHeader("HX-Request", "true");
    ask.timeout = 10000;
    ask.onload = function () {
      offline.hidden = true;
      if (ask.status === 401) return location.replace("/kiosk");
      if (ask.status === 200 && ask.responseText !== answer && !pressing) {
        // Why a press did nothing no longer counts when things have changed since.
        if (problem && answer !== null && new Date().getTime() - opened > 10000) problem.hidden = true;
        var held = now.contains(document.activeElement) ? document.activeElement.textContent : null;
        answer = ask.responseText;
        now.innerHTML = answer;
        if (held !== null) focus(held);
      }
      done();
    };
    ask.onerror = ask.ontimeout = function () {
      offline.hidden = false;
      done();
      setTimeout(refresh, 3000);
    };
    ask.send();
  }

  function done() {
    busy = false;
    if (again) {
      again = false;
      refresh();
    }
  }

  // A press goes out only when docscan answers: the browser would stay on its own page
  // of an error for ever. A wet finger presses twice and means it once.
  document.addEventListener("submit", function (e) {
    var form = e.target;
    e.preventDefault();
    if (pressing) return;
    pressing = true;
    var ask = new XMLHttpRequest();
    ask.open("GET", "/kiosk/now");
    ask.setRequestHeader("HX-Request", "true");
    ask.timeout = 10000;
    ask.onload = function () {
      if (ask.status === 401) return location.replace("/kiosk");
      if (ask.status !== 200) return ask.onerror();
      form.submit();
      setTimeout(function () { pressing = false; }, 5000); // should no answer come
    };
    ask.onerror = ask.ontimeout = function () {
      pressing = false;
      offline.hidden = false;
      setTimeout(refresh, 3000);
    };
    ask.send();
  });

  // The keyboard stays on the button it was on.
  function focus(text) {
    var buttons = now.getElementsByTagName("button");
    for (var i = 0; i < buttons.length; i++) {
      if (buttons[i].textContent === text) {
        buttons[i].focus();
        return;
      }
    }
  }

  function listen() {
    if (!window.EventSource) return;
    if (source) source.close();
    heard = new Date().getTime();
    source = new EventSource("/api/v1/events");
    var names = ["device", "batch", "page", "document", "reset", "open"];
    for (var i = 0; i < names.length; i++) source.addEventListener(names[i], news);
  }

  function news() {
    heard = new Date().getTime();
    refresh();
  }

  // A tablet that slept, or lost its network, comes back to what is true.
  function wake() {
    if (document.hidden) return;
    if (!source || source.readyState === 2 || new Date().getTime() - heard > 60000) listen();
    refresh();
  }
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", wake);
  setInterval(wake, window.EventSource ? 30000 : 3000);
  listen();
})();
