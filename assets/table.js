// Columns of the results table: sorted, hidden and pinned as this browser's visitor wants them, study by study. Gradio
// draws the table anew when a recipe finishes, so the choice is applied again; what is exported knows nothing of it.
window.qcompare.table = {
  observer: null,
  watch(element) {
    this.observer ??= new MutationObserver(() => this.apply(element)); // runs before the browser paints
    this.observer.observe(element, { subtree: true, childList: true });
    this.apply(element);
  },
  key: () => `table.${new URL(window.location.href).searchParams.get("study")}`,
  // { sort: [column, 1 or -1] or none, hidden: columns, pinned: columns in the order of pinning }
  state() {
    try {
      return { hidden: [], pinned: [], ...JSON.parse(window.qcompare.remembered(this.key()) ?? "{}") };
    } catch {
      return { hidden: [], pinned: [] };
    }
  },
  change(root, change) {
    const state = this.state();
    change(state);
    window.qcompare.remember(this.key(), JSON.stringify(state));
    this.apply(root);
  },
  apply(root) {
    const state = this.state();
    root.querySelectorAll("table[data-sortable]").forEach((table) => this.lay(table, state));
    this.observer?.takeRecords(); // what was changed just now
  },
  lay(table, state) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => (head.dataset.at ??= at));
    const names = [...heads].sort((a, b) => a.dataset.at - b.dataset.at).map((head) => head.dataset.column);
    const [first, ...others] = names;
    const pinned = state.pinned.filter((name) => others.includes(name) && !state.hidden.includes(name));
    const order = [first, ...pinned, ...others.filter((name) => !pinned.includes(name))];
    const hidden = new Set(state.hidden.filter((name) => others.includes(name)));
    for (const row of [table.tHead.rows[0], ...table.tBodies[0].rows]) {
      const cells = [...row.cells];
      cells.forEach((cell, at) => (cell.dataset.at ??= at));
      if (cells.some((cell) => cell.colSpan > 1 || cell.dataset.wide)) {
        const wide = cells.find((cell) => cell.colSpan > 1 || cell.dataset.wide);
        wide.dataset.wide = "yes";
        wide.colSpan = Math.max(1, order.length - 1 - hidden.size);
        continue;
      }
      const byName = Object.fromEntries(cells.map((cell) => [names[cell.dataset.at], cell]));
      const placed = order.map((name) => byName[name]);
      if (placed.some((cell, at) => cell !== row.cells[at])) row.append(...placed);
      order.forEach((name) => {
        byName[name].hidden = hidden.has(name);
        byName[name].classList.toggle("qc-pinned", pinned.includes(name));
      });
    }
    this.sort(table, state, names);
    this.stick(table, [first, ...pinned]);
    this.menu(table, state, names, pinned);
  },
  sort(table, state, names) {
    const [column, way] = state.sort ?? [];
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row, at) => (row.dataset.row ??= at));
    const at = String(names.indexOf(column));
    const value = (row) => [...row.cells].find((cell) => cell.dataset.at === at && !cell.dataset.wide)?.dataset.sort ?? "";
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (at === "-1" || x === y) return a.dataset.row - b.dataset.row;
      if (x === "" || y === "") return x === "" ? 1 : -1; // what has no value comes last, both ways
      return way * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
    };
    const sorted = [...rows].sort(compare);
    if (sorted.some((row, n) => row !== rows[n])) table.tBodies[0].append(...sorted);
    for (const head of table.tHead.rows[0].cells) {
      const sorts = head.dataset.column === column;
      if (sorts) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
      let button = head.querySelector(".qc-sort");
      if (!button) {
        button = document.createElement("button");
        button.type = "button";
        button.className = "qc-sort";
        button.setAttribute("aria-label", table.dataset.saidSort.replace("{column}", head.dataset.title));
        head.append(button);
      }
      const sign = sorts ? (way > 0 ? "▲" : "▼") : "↕";
      if (button.textContent !== sign) button.textContent = sign;
    }
  },
  // Pinned columns stand still while the others scroll: each is held at the right edge of those before it.
  stick(table, columns) {
    let left = 0;
    for (const name of columns) {
      const head = table.tHead.querySelector(`[data-column="${CSS.escape(name)}"]`);
      for (const row of table.rows) {
        const cell = [...row.cells].find((each) => each.dataset.at === head.dataset.at && !each.dataset.wide);
        if (cell) cell.style.left = `${left}px`;
      }
      left += head.offsetWidth;
    }
  },
  menu(table, state, names, pinned) {
    const box = table.closest(".qc-scroll").previousElementSibling;
    if (!box?.matches(".qc-column-menu")) return;
    const list = box.querySelector("ul");
    const heads = Object.fromEntries([...table.tHead.rows[0].cells].map((head) => [head.dataset.column, head]));
    if (!list.children.length) {
      list.append(...names.slice(1).map((name) => {
        const row = document.createElement("li"), label = document.createElement("label"), show = document.createElement("input");
        show.type = "checkbox";
        label.append(show, ` ${heads[name].dataset.title}`);
        row.append(label, ...["pin", "sort"].map((act) => {
          const button = document.createElement("button");
          button.type = "button";
          button.dataset.act = act;
          button.textContent = table.dataset[act === "pin" ? "saidPin" : "saidOrder"];
          button.setAttribute("aria-label", `${button.textContent}: ${heads[name].dataset.title}`);
          return button;
        }));
        row.dataset.of = name;
        return row;
      }));
    }
    for (const row of list.children) {
      const name = row.dataset.of;
      row.querySelector("input").checked = !state.hidden.includes(name);
      row.querySelector('[data-act="pin"]').setAttribute("aria-pressed", String(pinned.includes(name)));
      row.querySelector('[data-act="sort"]').setAttribute("aria-pressed", String(state.sort?.[0] === name));
    }
    box.querySelector(".qc-columns-reset").disabled = !state.sort && !state.hidden.length && !state.pinned.length;
  },
  // Highest first, then lowest first, then the order of the study.
  next: (sort, column) => (sort?.[0] !== column ? [column, -1] : sort[1] < 0 ? [column, 1] : undefined),
};
document.addEventListener("click", (event) => {
  const root = event.target.closest("#qc-table");
  if (!root) return;
  const table = window.qcompare.table, of = event.target.closest("[data-of]")?.dataset.of;
  const toggled = (list, name) => (list.includes(name) ? list.filter((each) => each !== name) : [...list, name]);
  const sorted = event.target.closest(".qc-sort")?.closest("th").dataset.column ?? (event.target.closest('[data-act="sort"]') && of);
  if (sorted) table.change(root, (state) => (state.sort = table.next(state.sort, sorted)));
  else if (event.target.closest('[data-act="pin"]')) table.change(root, (state) => (state.pinned = toggled(state.pinned, of)));
  else if (of && event.target.matches("input")) table.change(root, (state) => (state.hidden = toggled(state.hidden, of)));
  else if (event.target.closest(".qc-columns-reset")) table.change(root, (state) => ["sort", "hidden", "pinned"].forEach((name) => delete state[name]));
});
