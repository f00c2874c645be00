"use strict";

const MISSING = "–";

/* The number that a cell begins with; NaN if there is none. */
const numberOf = (text) => parseFloat(text.replaceAll(",", "").replace("−", "-"));

/* Rows in the order of a column; what is missing comes last either way. */
function sorted(rows, column, numeric, descending) {
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b);
  const valued = rows.map((row) => {
    const text = row.cells[column].textContent.trim();
    return { row, value: numeric ? numberOf(text) : text, missing: numeric ? isNaN(numberOf(text)) : text === MISSING || !text };
  });
  valued.sort((a, b) => a.missing - b.missing || (a.missing ? 0 : compare(a.value, b.value) * (descending ? -1 : 1)));
  return valued.map(({ row }) => row);
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[1].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const numeric = heading.classList.contains("n");
    heading.querySelector("button").addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const descending = before === "none" ? numeric : before === "ascending";
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...sorted([...body.rows], column, numeric, descending));
    });
  });
}

function makeFilterable(table, form) {
  const rows = [...table.tBodies[0].rows];
  const selects = [...form.querySelectorAll("select")];
  const isShown = (row, words) =>
    selects.every((select) => !select.value || row.cells[select.dataset.column].textContent.trim() === select.value) &&
    words.every((word) => row.textContent.toLowerCase().includes(word)) &&
    (!form.elements.leading.checked || row.classList.contains("leading"));
  const update = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/);
    rows.forEach((row) => { row.hidden = !isShown(row, words); });
    form.elements.count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update(); // the browser may have kept what was typed before a reload
}

async function copy(code) {
  getSelection().selectAllChildren(code); // where the clipboard is not to be had, the text is at least selected
  try {
    await navigator.clipboard.writeText(code.textContent);
    return "Copied";
  } catch {
    return document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
  }
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    button.textContent = await copy(button.parentElement.querySelector("code"));
    document.getElementById("said").textContent = button.textContent;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

const table = document.getElementById("table");
if (table) {
  makeSortable(table);
  makeFilterable(table, document.getElementById("filters"));
}
