"use strict";
(function () {
  const drawings = JSON.parse(document.getElementById("drawings").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const phone = window.matchMedia("(max-width: 680px)");
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

  // Panels below each other, and parallel axes that lie: nothing is wider than the window.
  function onPhone(figure) {
    const down = (values) => values.map((value) => (value === null ? null : -value));
    const turn = (trace) => ({ ...trace, x: trace.y, y: down(trace.x) });
    const data = figure.turned ? figure.data.map(turn) : figure.data;
    return { data, layout: { ...figure.layout, ...figure.narrow } };
  }

  function draw(scheme) {
    const palette = drawings.palettes[scheme];
    for (const [key, figure] of Object.entries(drawings.figures)) {
      const shown = phone.matches ? onPhone(figure) : figure;
      const painted = paint({ data: shown.data, layout: shown.layout }, palette, "");
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
  for (const query of [dark, phone]) query.addEventListener("change", () => draw(scheme()));
  window.addEventListener("beforeprint", () => draw("light"));
  window.addEventListener("afterprint", () => draw(scheme()));
  draw(scheme());
  document.documentElement.dataset.drawn = "true";
})();
