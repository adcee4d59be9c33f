// Sorting and filtering. The page comes in order, folders first and each group by name: the order in which its rows
// stand is the order of names. Everything else is read from the cells when it is first needed.
"use strict";
(() => {
  const table = document.querySelector(".sf-listing");
  if (!table) return;
  const rows = [...table.querySelectorAll("tbody > tr")];
  const headers = [...table.tHead.rows[0].cells];
  const folders = rows.filter((row) => row.className === "sf-folder").length;
  const group = 100;

  // By column: what a row is sorted by, and whether the first click sorts downwards, the largest and the latest first.
  const size = (cell) => parseInt((cell.title || cell.textContent).replaceAll(",", ""), 10) || 0;
  const text = (cell) => cell.textContent;
  const columns = [
    { key: null, down: false },
    { key: text, down: false },
    { key: size, down: true },
    { key: text, down: true },
  ];
  let order = rows.map((_, at) => at);
  let shown = null;

  function sorted(column, down) {
    const { key } = columns[column];
    const keys = key && rows.map((row) => key(row.children[column]));
    const sign = down ? -1 : 1;
    const part = (from, to) => {
      const places = rows.slice(from, to).map((_, at) => from + at);
      if (!keys) return down ? places.reverse() : places;
      return places.sort((a, b) => (keys[a] < keys[b] ? -sign : keys[a] > keys[b] ? sign : a - b));
    };
    return [...part(0, folders), ...part(folders, rows.length)];
  }

  function show() {
    const places = shown ? order.filter((at) => shown[at]) : order;
    const bodies = document.createDocumentFragment();
    for (const body of [...table.tBodies]) body.remove();
    for (let start = 0; start < places.length; start += group) {
      const body = document.createElement("tbody");
      for (const at of places.slice(start, start + group)) body.append(rows[at]);
      if (body.rows.length === group) body.className = "sf-full";
      bodies.append(body);
    }
    table.append(bodies);
    return places.length;
  }

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => {
      const before = header.getAttribute("aria-sort");
      const down = before ? before === "ascending" : columns[column].down;
      order = sorted(column, down);
      show();
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
    header.append(button);
  });

  // A folder that can be seen at a glance needs no filter.
  if (rows.length < 10) return;
  const plain = (name) => name.normalize("NFC").toLowerCase();
  const filter = document.createElement("div");
  const count = document.createElement("output");
  const input = document.createElement("input");
  let names = null;
  filter.className = "sf-filter";
  input.type = "search";
  input.placeholder = "Filter by name";
  input.setAttribute("aria-label", "Filter by name");
  filter.append(count, input);
  document.querySelector(".sf-tools").append(filter);

  input.addEventListener("input", () => {
    names ??= rows.map((row) => plain(row.firstElementChild.textContent));
    const wanted = plain(input.value);
    shown = wanted ? names.map((name) => name.includes(wanted)) : null;
    const found = show();
    count.textContent = wanted ? `${found.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  });
})();
