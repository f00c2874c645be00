"use strict";

{
  const data = JSON.parse(document.getElementById("data").textContent);
  const selects = Object.fromEntries([...document.querySelectorAll("[data-selects]")].map((s) => [s.dataset.selects, s]));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const CONFIG = { displayModeBar: false, responsive: true };

  const WRITTEN = () => ({ textfont: { color: colour("text") } }); // on colours that are light in light, dark in dark

  /* What Plotly was given to show literally, as text again. */
  const guarded = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
  const literal = (text) => String(text).replaceAll("<br>", " ").replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);

  function element(tag, text = "", attributes = {}) {
    const made = Object.assign(document.createElement(tag), attributes);
    if (text !== "") made.textContent = text;
    return made;
  }

  /* The places of what is selected: {dataset, task, backbone, row}. */
  function selected() {
    const task = selects.task.value;
    return { dataset: data.tasks[task], task, backbone: selects.backbone.value, row: selects.row?.value };
  }

  /* Round numbers (1, 2, 5, 10, …) on a logarithmic axis; Plotly's own ticks leave out the powers between decades. */
  function logTicks(values) {
    const [low, high] = [Math.min(...values) / 1.5, Math.max(...values) * 1.5];
    const digits = high / low > 300 ? [1] : high / low > 12 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
    const powers = Array.from({ length: 40 }, (_, i) => i - 20);
    const ticks = powers.flatMap((power) => digits.map((digit) => digit * 10 ** power)).filter((tick) => tick >= low && tick <= high);
    const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
    return { tickvals: ticks, ticktext: ticks.map((tick) => short.format(tick)) };
  }

  /* A tick's text; ``<br>`` is our own, since what else looks like it is guarded. */
  const cut = (text) => text.split("<br>").map(cutLine).join("<br>");

  function cutLine(text) {
    const letters = [...literal(text)];
    return letters.length > 32 ? guarded(`${letters.slice(0, 31).join("")}…`) : text;
  }

  const axis = (own) => ({
    gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true, ticks: "",
    ...own, ticktext: own.ticktext?.map(cut), title: { ...own.title, standoff: 12, font: { size: 13 } },
  });

  function themed(layout) {
    return {
      margin: { l: 50, r: 16, t: 16, b: 48 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") }, namelength: -1 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      dragmode: false,
      ...layout,
      height: undefined,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("text") },
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
      annotations: layout.annotations?.map((note) => ({ ...note, arrowcolor: colour("quiet") })),
      coloraxis: { colorscale: [[0, colour("low")], [1, colour("high")]], colorbar: { thickness: 10, outlinewidth: 0 }, ...layout.coloraxis },
    };
  }

  /* A confusion matrix is coloured by shares of a label and says counts. */
  const shares = (trace) => ({
    z: trace.z.map((counts, label) => counts.map((count) => count / Math.max(1, trace.meta.totals[label]))),
    text: trace.z.map((counts) => counts.map((count) => count || "")),
    customdata: trace.z,
  });

  /* The figure with the columns that the reader chose for its axes. */
  function chosen(figure, chart, holder) {
    const names = {};
    for (const select of holder.querySelectorAll("[data-axis]")) names[select.dataset.axis] = select.value;
    const traces = figure.data.map((trace) => {
      const columns = Object.entries(names).map(([axis, name]) => [axis, trace.meta[name]]);
      return { ...trace, meta: undefined, ...Object.fromEntries(columns), ...(trace.meta?.totals && shares(trace)), ...(trace.type === "heatmap" && WRITTEN()) };
    });
    const layout = { ...figure.layout };
    for (const [axis, name] of Object.entries(names)) {
      if (axis !== "z") layout[`${axis}axis`] = { ...layout[`${axis}axis`], title: { text: chart.choices[axis][name] } };
    }
    if (layout.xaxis.type === "log" && !layout.xaxis.tickvals) {
      Object.assign(layout.xaxis, logTicks(traces.flatMap((trace) => trace.x).filter((x) => x > 0)));
    }
    return { data: traces, layout };
  }

  function draw(chart) {
    const holder = document.getElementById(`chart-${chart.name}`);
    const plot = holder.querySelector(".plot");
    const numbers = holder.querySelector(".numbers");
    const places = selected();
    const found = chart.figures[chart.by.map((what) => places[what]).join("|")];
    say(holder, found ? found.layout.meta?.note : "Nothing to show for this selection.");
    plot.hidden = numbers.hidden = !found;
    if (!found) return;
    const figure = chosen(found, chart, holder);
    plot.style.height = `${figure.layout.height ?? 380}px`;
    Plotly.react(plot, figure.data, themed(figure.layout), CONFIG);
    plot.setAttribute("aria-label", describe(chart, holder, figure));
    fill(numbers, figure);
  }

  function say(holder, text) {
    const note = holder.querySelector(".note");
    note.hidden = !text;
    note.textContent = text ?? "";
  }

  function describe(chart, holder, figure) {
    const what = chart.by.filter((name) => selects[name]).map((name) => selects[name].selectedOptions[0].text);
    const lines = figure.data.map((trace) => trace.name).filter(Boolean).map(literal);
    const about = [...what, ...(lines.length ? [`lines: ${lines.join(", ")}`] : [])].join("; ");
    return `${holder.querySelector("h3").textContent}. ${about}. The numbers follow as a table.`;
  }

  /* The table that says what a chart shows is made when it is opened. */
  function fill(details, figure) {
    const place = details.querySelector("div");
    const make = () => place.replaceChildren(figure.data[0].type === "heatmap" ? matrix(figure) : list(figure));
    details.ontoggle = () => details.open && make();
    if (details.open) make();
  }

  function tableOf(headings, lines) {
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const heading of headings) head.append(element("th", heading, { scope: "col" }));
    const body = table.createTBody();
    for (const [name, ...values] of lines) {
      const row = body.insertRow();
      row.append(element("th", name, { scope: "row" }));
      for (const value of values) row.append(element("td", value ?? MISSING, { className: "n" }));
    }
    return table;
  }

  function matrix({ data: [trace], layout }) {
    const lines = (trace.customdata ?? trace.z).map((values, line) => [literal(layout.yaxis.ticktext[line]), ...values]);
    return tableOf(["", ...layout.xaxis.ticktext.map(literal)], lines);
  }

  function list({ data: traces, layout }) {
    const shown = traces.filter((trace) => trace.hoverinfo !== "skip");
    const named = shown.some((trace) => trace.text);
    const lines = shown.flatMap((trace) => trace.x.map((x, i) =>
      [literal(trace.name), ...(named ? [literal(trace.text[i])] : []), trace.customdata?.[i] ?? x, valueAt(trace, i)]));
    const titles = [layout.xaxis.title.text, layout.yaxis.title.text];
    return tableOf(["strategy", ...(named ? ["backbone"] : []), ...titles], lines);
  }

  function valueAt({ y, error_y: error }, i) {
    const bounds = error && error.array[i] !== null && [y[i] - error.arrayminus[i], y[i] + error.array[i]].map((bound) => bound.toFixed(1));
    return bounds ? `${y[i].toFixed(1)} (${bounds.join(" to ")})` : y[i];
  }

  /* The rows of this task and backbone whose mistakes are at hand, the best on validation first. */
  function offerRows() {
    if (!selects.row) return;
    const { task, backbone } = selected();
    const options = data.details
      .map((row, place) => ({ ...row, place }))
      .filter((row) => row.task === Number(task) && row.backbone === Number(backbone))
      .sort((a, b) => b.val_acc - a.val_acc)
      .map((row) => new Option(row.label, row.place));
    selects.row.replaceChildren(...options);
  }

  function picture(mistake) {
    const source = data.pictures[mistake.picture];
    return source === undefined ? element("span", "no picture") : element("img", "", { src: source, alt: mistake.id, loading: "lazy" });
  }

  function showMistakes() {
    const holder = document.getElementById("mistakes");
    if (!holder) return;
    const { mistakes, note } = data.details[selects.row.value] ?? { mistakes: [], note: "Nothing to show for this selection." };
    say(holder, note);
    holder.querySelector("ul").replaceChildren(...mistakes.map((mistake) => {
      const card = element("li");
      card.append(picture(mistake), element("b", mistake.predicted), element("span", `${mistake.confidence} % sure; it is`),
        element("b", mistake.label), element("small", mistake.id));
      return card;
    }));
  }

  const drawAll = () => data.charts.forEach(draw);

  for (const [name, select] of Object.entries(selects)) {
    select.addEventListener("change", () => {
      if (name !== "row") offerRows();
      data.charts.filter((chart) => name !== "row" || chart.by.includes("row")).forEach(draw);
      showMistakes();
    });
  }
  for (const chart of data.charts) {
    document.getElementById(`chart-${chart.name}`).addEventListener("change", () => draw(chart));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  offerRows();
  drawAll();
  showMistakes();
}
