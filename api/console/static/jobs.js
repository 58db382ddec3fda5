// Jobs: what is selected stays selected while the rows are renewed.

const picked = new Set();
const boxes = () => [...document.querySelectorAll('#rows input[name="id"]')];

function note() {
  for (const box of boxes()) {
    if (box.checked) picked.add(box.value);
    else picked.delete(box.value);
  }
  const all = document.getElementById("all");
  if (all) all.checked = boxes().length > 0 && boxes().every((box) => box.checked);
}

document.getElementById("rows").addEventListener("change", (event) => {
  if (event.target.id === "all") for (const box of boxes()) box.checked = event.target.checked;
  note();
});

let format = null;
document.addEventListener("htmx:beforeSwap", () => { format = document.getElementById("zip-format")?.value; });
document.addEventListener("htmx:afterSwap", () => {
  for (const box of boxes()) box.checked = picked.has(box.value);
  const select = document.getElementById("zip-format");
  if (select && format) select.value = format;
  note();
});
