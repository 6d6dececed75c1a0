"use strict";

// textual.js keeps its socket, links and downloads to itself; this goes before it, and puts itself in between.
{
  function showEnded(message, details) {
    document.querySelector("#message").textContent = message;
    document.querySelector("#details").textContent = details;
    document.body.classList.add("-closed");
    document.querySelector("#reload").focus();
  }

  window.WebSocket = class extends window.WebSocket {
    constructor(...given) {
      super(...given);
      // Keys go to the app at once, not only after a click into it.
      this.addEventListener("open", () => document.querySelector(".xterm-helper-textarea").focus());
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") return;
        const [kind, ended] = JSON.parse(data);
        if (kind === "ended") showEnded(ended.message, ended.details);
      });
    }
  };

  // A download opened as a new tab would be taken for a pop-up and blocked.
  window.open = function (address) {
    const link = document.createElement("a");
    const url = new URL(address, location.href);
    link.href = url.href;
    if (url.origin === location.origin) {
      link.download = "";
    } else {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    link.click();
    return null;
  };

  // textual.js draws with WebGL 2, and fails where a browser has none.
  window.addEventListener("error", ({ message }) => {
    if (document.body.classList.contains("-first-byte")) return;
    showEnded("This browser cannot show the app.", message);
  });

  window.addEventListener("DOMContentLoaded", () => {
    document.querySelector("#reload").addEventListener("click", () => location.reload());
  });
}
