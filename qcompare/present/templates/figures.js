// Saves a figure: as PNG or SVG on white with dark text, fit for slides and print, or its data as CSV.
// The same on screen and in the report; Plotly is there once a figure is.
window.qcompareFigures = {
  async save(button) {
    const frame = button.closest(".qc-figure");
    const plot = frame?.querySelector(".js-plotly-plot");
    if (!plot || !window.Plotly) return;
    const name = `qcompare-${(frame.querySelector("h3")?.textContent ?? "figure").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-")}`;
    if (button.dataset.save === "csv") return this.download(`${name}.csv`, this.table(plot.data));
    const { width, height } = plot.getBoundingClientRect();
    const layout = structuredClone(plot.layout);
    layout.paper_bgcolor = "#ffffff";
    layout.plot_bgcolor = "#ffffff";
    layout.font = { ...layout.font, color: "#222831" };
    (layout.annotations ?? []).forEach((note) => (note.font = { ...note.font, color: "#222831" }));
    const picture = { data: structuredClone(plot.data), layout };
    window.Plotly.downloadImage(picture, { format: button.dataset.save, filename: name, width, height, scale: 2 });
  },
  // One line a point: trace, x, y, and what the trace has besides (z, text, error, size).
  table(traces) {
    const lines = [["series", "x", "y", "value", "text", "interval"]];
    const list = (values) => (values === undefined || values === null ? [] : Array.from(this.decoded(values)));
    for (const trace of traces) {
      const [x, y] = [list(trace.x), list(trace.y)];
      const error = list(trace.error_y?.array ?? trace.error_x?.array);
      if (trace.z) {
        list(trace.z).forEach((row, i) => list(row).forEach((z, j) => lines.push([trace.name ?? "", x[j], y[i], z, trace.text?.[i]?.[j]])));
      } else {
        x.forEach((value, n) => lines.push([trace.name ?? "", value, y[n], list(trace.marker?.size)[n], list(trace.customdata ?? trace.text)[n], error[n]]));
      }
    }
    // A text that a spreadsheet would take for a formula begins with an apostrophe.
    const inert = (value) => (typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : value);
    const cell = (value) => `"${String(inert(value) ?? "").replace(/<br>/g, "; ").replace(/<[^>]+>/g, "").replace(/"/g, '""')}"`;
    return lines.map((line) => line.map(cell).join(",")).join("\n");
  },
  decoded(values) {
    if (typeof values !== "object") return [values];
    return "_inputArray" in values ? values._inputArray : "bdata" in values ? [] : values;
  },
  download(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  },
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-save]");
  if (button) window.qcompareFigures.save(button);
});
