// Passkeys: what a browser can do only by script. Without it, password and code
// open an account.
"use strict";

(() => {
  const unpack = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const pack = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  async function post(path, body) {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.detail);
    return data;
  }

  // credential gives what the authenticator answered as JSON has it.
  function credential(c) {
    const r = c.response;
    const response = { clientDataJSON: pack(r.clientDataJSON) };
    if (r.attestationObject) {
      response.attestationObject = pack(r.attestationObject);
      response.transports = r.getTransports ? r.getTransports() : [];
    } else {
      response.authenticatorData = pack(r.authenticatorData);
      response.signature = pack(r.signature);
      if (r.userHandle) response.userHandle = pack(r.userHandle);
    }
    return { id: c.id, rawId: pack(c.rawId), type: c.type, response, clientExtensionResults: c.getClientExtensionResults() };
  }

  const ids = (list) => (list || []).map((c) => ({ ...c, id: unpack(c.id) }));

  async function logIn() {
    const { ticket, options } = await post("/api/v1/login/passkey-challenge", {});
    const publicKey = { ...options, challenge: unpack(options.challenge), allowCredentials: ids(options.allowCredentials) };
    const got = await navigator.credentials.get({ publicKey });
    await post("/api/v1/login/passkey", { ticket, credential: credential(got) });
    location.assign("/login"); // which leads on to where one wanted to go
  }

  async function add(form) {
    const { ticket, options } = await post("/api/v1/passkey-challenges", { password: form.elements.password.value });
    const publicKey = {
      ...options,
      challenge: unpack(options.challenge),
      user: { ...options.user, id: unpack(options.user.id) },
      excludeCredentials: ids(options.excludeCredentials),
    };
    const made = await navigator.credentials.create({ publicKey });
    await post("/api/v1/passkeys", { ticket, name: form.elements.name.value, credential: credential(made) });
    location.reload();
  }

  const able = window.PublicKeyCredential && window.isSecureContext;
  const login = document.querySelector("[data-passkey-login]");
  if (login && able) {
    login.hidden = false;
    const fault = login.querySelector(".fault");
    login.querySelector("button").addEventListener("click", async () => {
      fault.hidden = true;
      try {
        await logIn();
      } catch {
        fault.hidden = false;
      }
    });
  }
  const form = document.querySelector("[data-passkey-add]");
  const none = document.querySelector("[data-passkey-none]");
  if (form && able) {
    form.hidden = false;
    const fault = form.querySelector(".fault");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      fault.hidden = true;
      try {
        await add(form);
      } catch (error) {
        fault.textContent = error.message;
        fault.hidden = false;
      }
    });
  } else if (none) {
    none.hidden = false;
  }
})();
