"use strict";
(function () {
  const box = document.getElementById("pages");
  const order = document.getElementById("order");
  const filter = document.getElementById("filter");
  const wrong = document.getElementById("wrong");
  const count = document.getElementById("count");
  const pages = [...box.children].map((element) => ({
    element,
    file: Number(element.dataset.file),
    worst: Number(element.dataset.worst),
    change: Number(element.dataset.change),
    text: null,
  }));
  const keys = {
    broken: (page) => -page.change,
    gained: (page) => page.change,
    worst: (page) => -page.worst,
    file: (page) => page.file,
  };
  let current = null;

  // The texts of a page, each whole: a block holds the same place of all of them.
  function textOf(page) {
    if (page.text !== null) return page.text;
    const texts = [];
    for (const block of page.element.querySelectorAll(".c")) {
      [...block.children].forEach((row, place) => {
        const runs = [...row.childNodes].filter((run) => run.nodeName !== "DEL" && run.className !== "g");
        texts[place] = (texts[place] || "") + runs.map((run) => run.textContent).join("");
      });
    }
    page.text = [page.element.querySelector("h4").textContent, ...texts].join("\n").toLowerCase();
    return page.text;
  }

  function arrange() {
    const key = keys[order.value];
    const wanted = filter.value.toLowerCase();
    pages.sort((left, right) => key(left) - key(right) || left.file - right.file);
    let shown = 0;
    for (const page of pages) {
      page.element.hidden = (wrong.checked && !page.worst) || (wanted !== "" && !textOf(page).includes(wanted));
      if (!page.element.hidden) shown += 1;
    }
    box.append(...pages.map((page) => page.element));
    count.textContent = shown + " of " + pages.length + " shown";
    current = null;
  }

  function step(by) {
    const shown = pages.filter((page) => !page.element.hidden);
    const place = shown.indexOf(current);
    const next = shown[Math.min(Math.max(place + by, 0), shown.length - 1)];
    if (!next) return;
    current = next;
    next.element.focus({ preventScroll: true });
    next.element.scrollIntoView({ block: "start" });
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
    if (by) step(by);
    if (event.key === "/") filter.focus();
    if (by || event.key === "/") event.preventDefault();
  });
  for (const control of [order, wrong]) control.addEventListener("change", arrange);
  filter.addEventListener("input", arrange);
  box.addEventListener("click", (event) => {
    if (event.target.matches(".picture.large img")) event.target.parentElement.classList.toggle("zoomed");
  });
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("controls").hidden = false;
  arrange();
  document.documentElement.dataset.drawn = "true";
})();
