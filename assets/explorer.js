// Explorer: the slider moves the line, the layer map and the numbers; all points are in the page already.
(() => {
  const SVG = "http://www.w3.org/2000/svg", WIDTH = 720, HEIGHT = 340, LEFT = 72, RIGHT = 16, TOP = 32, BOTTOM = 56;
  const CELL = 18, NAMES = 84;
  let drawn = null; // the element that is shown, its payload and the scales of its figure

  const make = (name, attributes = {}, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const said = (key, value) => drawn.box.dataset[key].replace(/\{\w+\}/, value);
  const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(0)} MB`);
  const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3));
  const family = () => drawn.data.families[drawn.family];
  const at = (curve, index) => curve.points[Math.min(index, curve.points.length - 1)];

  function take(box) {
    drawn = { box, text: box.dataset.explorer, data: JSON.parse(box.dataset.explorer), family: 0, index: 0 };
    const select = box.querySelector("select");
    select.replaceChildren(...drawn.data.families.map((each, n) => new Option(each.title, n)));
    box.querySelector(".qc-families").hidden = drawn.data.families.length < 2;
    choose(0);
  }

  function choose(number) {
    drawn.family = number;
    const { budgets, measured, published } = family();
    const slider = drawn.box.querySelector("input");
    slider.max = budgets.length - 1;
    const wanted = measured.length ? measured[measured.length - 1][2] : (budgets[0] + budgets[budgets.length - 1]) / 2;
    slider.value = drawn.index = nearest(budgets, wanted);
    drawn.box.querySelector("datalist").replaceChildren(...published.map((bits) => new Option(bits, nearest(budgets, bits))));
    scales();
    figure();
    measuredTable();
    move();
  }

  const nearest = (values, wanted) => values.reduce((best, value, n) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? n : best), 0);

  // All families share the axes, so that it shows which family is best at which size.
  function scales() {
    const same = drawn.data.families.filter((each) => each.in_nats === family().in_nats);
    const points = same.flatMap((each) => each.curves.flatMap((curve) => curve.points));
    const dots = same.flatMap((each) => (each.in_nats ? each.measured : []));
    const sizes = [...points.map((point) => point[1]), ...dots.map((dot) => dot[3])];
    const values = [...points.map((point) => point[2]), ...dots.map((dot) => dot[4])].filter((value) => value > 0);
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    const [low, high] = [Math.log(Math.min(...values) / 1.1), Math.log(Math.max(...values) * 1.1)];
    drawn.same = same;
    drawn.x = (bytes) => LEFT + ((bytes - least) / (most - least || 1)) * (WIDTH - LEFT - RIGHT);
    drawn.y = (value) => HEIGHT - BOTTOM - ((Math.log(Math.max(value, Math.exp(low))) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
    drawn.range = { least, most, low: Math.exp(low), high: Math.exp(high) };
  }

  function figure() {
    const svg = drawn.box.querySelector(".qc-curve"), { least, most, low, high } = drawn.range;
    const parts = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const step of [1, 2, 5]) {
        const value = step * 10 ** power;
        if (value < low || value > high) continue;
        parts.push(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: drawn.y(value), y2: drawn.y(value), class: "qc-grid" }));
        parts.push(make("text", { x: LEFT - 8, y: drawn.y(value) + 4, "text-anchor": "end" }, number(value)));
      }
    for (let n = 0; n <= 4; n += 1) {
      const bytes = least + ((most - least) * n) / 4;
      parts.push(make("text", { x: drawn.x(bytes), y: HEIGHT - 30, "text-anchor": n === 4 ? "end" : n ? "middle" : "start" }, size(bytes)));
    }
    parts.push(make("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, said("saidSize", "")));
    for (const [gb, bytes] of drawn.data.memory)
      if (bytes > least && bytes < most) {
        parts.push(make("line", { x1: drawn.x(bytes), x2: drawn.x(bytes), y1: TOP, y2: HEIGHT - BOTTOM, class: "qc-memory" }));
        parts.push(make("text", { x: drawn.x(bytes) + 4, y: TOP + 10 }, `${gb} GB`));
      }
    for (const bits of family().published) {
      const point = at(family().curves[0], nearest(family().budgets, bits));
      const mark = make("path", { d: `M${drawn.x(point[1])} ${HEIGHT - BOTTOM}l-5 8h10z`, class: "qc-mark-published" });
      mark.append(make("title", {}, `${said("saidBits", bits)}: ${said("saidPublished", "")}`));
      parts.push(mark);
    }
    drawn.same.forEach((each) => each.curves.forEach((curve) => {
      const line = curve.points.filter((point) => point[2] > 0).map((point) => `${drawn.x(point[1]).toFixed(1)},${drawn.y(point[2]).toFixed(1)}`);
      const here = each === family();
      parts.push(make("polyline", { points: line.join(" "), stroke: curve.colour, class: "qc-line", opacity: here ? 1 : 0.55, "stroke-dasharray": here ? "none" : "5 4" }));
      if (!here && curve === each.curves[0]) parts.push(make("text", { x: drawn.x(curve.points[0][1]) + 6, y: drawn.y(curve.points[0][2]) - 6 }, each.title));
    }));
    drawn.same.forEach((each) => each.measured.forEach(([title, colour, bits, bytes, kl, predicted]) => {
      const dot = make("circle", { cx: drawn.x(bytes), cy: drawn.y(each.in_nats ? kl : predicted), r: 6, fill: colour, class: "qc-dot" });
      dot.append(make("title", {}, `${title}: ${said("saidBits", bits.toFixed(2))}, KL ${number(kl)}`));
      parts.push(dot);
    }));
    parts.push(make("line", { class: "qc-now", y1: TOP, y2: HEIGHT - BOTTOM }));
    parts.push(make("text", { x: LEFT, y: 20 }, family().in_nats ? said("saidKl", "") : said("saidLoss", "")));
    svg.replaceChildren(...parts);
    drawn.box.querySelector(".qc-legend").replaceChildren(...family().curves.map((curve) => legend(curve.title, curve.colour)));
  }

  function legend(title, colour) {
    const item = document.createElement("li"), swatch = document.createElement("i");
    swatch.className = "qc-swatch";
    item.style.setProperty("--recipe", colour);
    item.append(swatch, title);
    return item;
  }

  function row(cells, colour) {
    const made = document.createElement("tr");
    cells.forEach((text, n) => {
      const cell = document.createElement(n ? "td" : "th");
      if (!n) cell.scope = "row";
      if (!n && colour) {
        const swatch = document.createElement("i");
        swatch.className = "qc-swatch";
        cell.style.setProperty("--recipe", colour);
        cell.append(swatch);
      }
      cell.append(text);
      made.append(cell);
    });
    return made;
  }

  function measuredTable() {
    const table = drawn.box.querySelector(".qc-measured"), { measured, in_nats: nats } = family();
    table.parentElement.hidden = !measured.length;
    table.classList.toggle("qc-no-unit", !nats); // such predictions only rank: they are no KL to be off from
    table.querySelector("tbody").replaceChildren(...measured.map(([title, colour, bits, bytes, kl, predicted]) =>
      row([title, bits.toFixed(2), size(bytes), number(kl), number(predicted), nats && predicted > 0 ? `${kl >= predicted ? "+" : "−"}${Math.abs(100 * (kl / predicted - 1)).toFixed(0)} %` : "–"], colour)));
  }

  function move() {
    const { curves, budgets, schemes } = family(), index = drawn.index, first = at(curves[0], index);
    const line = drawn.box.querySelector(".qc-now");
    line.setAttribute("x1", drawn.x(first[1]));
    line.setAttribute("x2", drawn.x(first[1]));
    const fits = drawn.data.memory.find(([, bytes]) => first[1] <= bytes), largest = drawn.data.memory[drawn.data.memory.length - 1][0];
    const texts = [said("saidBits", budgets[index].toFixed(2)), size(first[1])];
    if (drawn.data.baseline) texts.push(said("saidSmaller", Math.round(100 - (100 * first[1]) / drawn.data.baseline)));
    texts.push(fits ? said("saidFits", fits[0]) : said("saidLarger", largest));
    drawn.box.querySelector("output").textContent = texts.join(" · ");
    drawn.box.querySelector("input").setAttribute("aria-valuetext", texts.join(", "));
    const best = curves.reduce((one, other) => (at(other, index)[2] < at(one, index)[2] ? other : one));
    drawn.box.querySelector(".qc-at-budget tbody").replaceChildren(...curves.map((curve) => {
      const [bits, bytes, predicted] = at(curve, index), made = row([curve.title, bits.toFixed(2), size(bytes), number(predicted)], curve.colour);
      if (curve === best) made.className = "qc-best";
      if (curve === best) made.title = said("saidBest", "");
      return made;
    }));
    map(curves[0], first[3], schemes);
  }

  function map(curve, config, schemes) {
    const svg = drawn.box.querySelector(".qc-map"), { layers } = family();
    drawn.box.querySelector("figure h3").textContent = `${curve.title}: ${schemes.join(" · ")}`;
    const rows = [...new Set(layers.map(([projection]) => projection))], blocks = [...new Set(layers.map(([, block]) => block))].sort((a, b) => a - b);
    const key = `${drawn.family}`;
    if (svg.dataset.family !== key || svg.children.length === 0) {
      svg.dataset.family = key;
      svg.setAttribute("viewBox", `0 0 ${NAMES + CELL * blocks.length} ${CELL * rows.length + 20}`);
      const parts = rows.map((name, n) => make("text", { x: NAMES - 8, y: n * CELL + 13, "text-anchor": "end" }, name));
      drawn.cells = layers.map(([projection, block]) => {
        const cell = make("rect", { x: NAMES + CELL * blocks.indexOf(block), y: CELL * rows.indexOf(projection), width: CELL - 2, height: CELL - 2, rx: 2 });
        cell.append(make("title"));
        return cell;
      });
      const ends = blocks.length > 1 ? [0, blocks.length - 1] : [0];
      const marks = ends.map((n) => make("text", { x: NAMES + CELL * n + CELL / 2, y: CELL * rows.length + 14, "text-anchor": n ? "end" : "start" }, said("saidLayer", blocks[n])));
      svg.replaceChildren(...parts, ...drawn.cells, ...marks);
    }
    drawn.cells.forEach((cell, n) => {
      const choice = Number(config[n]);
      cell.setAttribute("fill", choice ? curve.colour : drawn.data.low);
      cell.setAttribute("fill-opacity", choice ? 0.35 + (0.65 * choice) / (schemes.length - 1) : 1);
      cell.firstChild.textContent = `${layers[n][0]}, ${said("saidLayer", layers[n][1])}: ${schemes[choice]}`;
    });
  }

  window.qcompare = window.qcompare || {};
  window.qcompare.explorer = {
    asked: () => (drawn ? JSON.stringify({ study: family().study, schemes: family().schemes, avg_bits: family().budgets[drawn.index] }) : ""),
  };
  document.addEventListener("input", (event) => {
    if (!drawn || !event.target.closest("#qc-explorer")) return;
    if (event.target.matches("select")) return choose(Number(event.target.value));
    drawn.index = Number(event.target.value);
    move();
  });
  setInterval(() => {
    const box = document.querySelector("#qc-explorer [data-explorer]");
    if (box && (drawn?.box !== box || drawn.text !== box.dataset.explorer)) take(box);
  }, 400);
})();
