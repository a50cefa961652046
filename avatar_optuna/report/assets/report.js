// Draws the report's figures from the data that the page holds. Asks nothing of any network.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const print = window.matchMedia("print");
  const PRINT_WIDTH = 660; // pixels of an A4 page between its margins

  const show = (key) => {
    const place = document.getElementById("chosen");
    const card = data.details[key];
    if (!place || !card) return;
    const title = document.createElement("strong");
    title.textContent = card.title;
    const list = document.createElement("ul");
    card.lines.forEach((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      list.append(item);
    });
    const command = document.createElement("code");
    command.textContent = card.command;
    place.replaceChildren(title, list, command);
  };

  const draw = (id, width = null) => {
    const place = document.getElementById(id);
    if (place) Plot.draw(place, data.figures[id], { width, onClick: id.startsWith("plot-front") ? show : null });
  };
  const drawAll = (isPrinted = print.matches) => {
    Object.keys(data.figures).forEach((id) => draw(id, isPrinted ? PRINT_WIDTH : null));
  };

  // The front's axes: each trace holds a column an axis; one that lacks the column is not drawn.
  const chooseAxes = () => {
    const figure = data.figures["plot-front"];
    const [x, y] = ["x", "y"].map((which) => document.getElementById(`front-${which}`).value);
    figure.data.forEach((trace) => {
      const { columns, errors } = trace.meta;
      const isThere = columns[x] && columns[y];
      trace.x = isThere ? columns[x] : [];
      trace.y = isThere ? columns[y] : [];
      if (!errors) return;
      const bars = trace.error_y && trace.error_y.array ? trace.error_y : trace.error_x;
      trace.error_y = { ...bars, visible: y === "effectiveness" };
      trace.error_x = { ...bars, visible: x === "effectiveness" };
    });
    [["xaxis", x], ["yaxis", y]].forEach(([place, axis]) => {
      figure.layout[place] = { title: { text: data.axes[axis].title }, type: data.axes[axis].log ? "log" : "linear" };
    });
    [...(figure.layout.shapes || []), ...(figure.layout.annotations || [])].forEach((line) => {
      line.visible = y === "effectiveness"; // the teacher's line
    });
    document.getElementById("plot-front").zoom = null;
    draw("plot-front", print.matches ? PRINT_WIDTH : null);
  };

  // The rows of a table by one of its columns: a click or Enter on its heading, another one turns the order round.
  const sortBy = (heading) => {
    const table = heading.closest("table"), body = table.tBodies[0], { cellIndex } = heading;
    const isAscending = heading.getAttribute("aria-sort") === "descending";
    const number = (row) => parseFloat(row.cells[cellIndex].firstChild?.textContent.replaceAll(",", ""));
    const rows = [...body.rows].filter((row) => row.cells.length > cellIndex);
    const compare = (a, b) => {
      const [left, right] = [number(a), number(b)];
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return isAscending ? left - right : right - left;
    };
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
    body.append(...rows.sort(compare));
  };
  document.querySelectorAll("#students thead tr:last-child th, #metrics thead tr:last-child th").forEach((heading) => {
    heading.classList.add("sortable");
    heading.tabIndex = 0;
    heading.addEventListener("click", () => sortBy(heading));
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sortBy(heading); });
  });

  drawAll();
  if (document.getElementById("plot-front")) {
    ["x", "y"].forEach((which) => document.getElementById(`front-${which}`).addEventListener("change", chooseAxes));
  }
  let width = document.documentElement.clientWidth;
  window.addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width || print.matches) return;
    width = document.documentElement.clientWidth;
    drawAll();
  });
  print.addEventListener("change", () => drawAll());
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((d) => { d.open = true; });
    drawAll(true);
  });
  window.addEventListener("afterprint", () => drawAll(false));
})();
