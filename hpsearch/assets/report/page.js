"use strict";
(function () {
  const drawings = JSON.parse(document.getElementById("drawings").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };

  function paint(value, palette, key) {
    if (Array.isArray(value)) return value.map((item) => paint(item, palette, ""));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, paint(item, palette, name)]));
    }
    const named = typeof value === "string" && key.endsWith("color") && value.startsWith("@");
    return named ? palette[value.slice(1)] : value;
  }

  function draw(scheme) {
    const palette = drawings.palettes[scheme];
    for (const [key, figure] of Object.entries(drawings.figures)) {
      const painted = paint(figure, palette, "");
      Plotly.react("plot-" + key, painted.data, painted.layout, config);
    }
  }

  async function copy(pre, button) {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(pre);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  }

  for (const box of document.querySelectorAll(".copyable")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", () => copy(box.querySelector("pre"), button));
    box.prepend(button);
  }

  const scheme = () => (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => draw(scheme()));
  window.addEventListener("beforeprint", () => draw("light"));
  window.addEventListener("afterprint", () => draw(scheme()));
  draw(scheme());
  document.documentElement.dataset.drawn = "true";
})();
